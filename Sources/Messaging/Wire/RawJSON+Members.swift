extension RawJSON {
    /// Calls `body` for each member of an object, with how many there are up to it and the length of its name in bytes.
    ///
    /// - Throws: What `body` throws, ``JSONError/Code/type`` if this is no object.
    func forEachMemberName(_ body: (_ count: Int, _ length: Int) throws(JSONError) -> Void) throws(JSONError) {
        try withJSONBytes(of: self.bytes, limits: .widest) { buffer throws(JSONError) in
            var count = 0
            guard let members = self.members, let object = members.first, let base = buffer.baseAddress else {
                var scanner = try ObjectScanner(buffer, limits: .widest)
                while let member = try scanner.next() {
                    count += 1
                    try body(count, member.nameLength)
                }
                return
            }
            // Each key leads to the one before it, and the first one to none.
            var key = Int(object.lastKey)
            while key != 0 {
                let name = members[key]
                let text = JSONStringToken(
                    start: Int(name.start),
                    end: Int(name.end),
                    hasEscapes: name.kind == .escapedString
                )
                count += 1
                try body(count, text.hasEscapes ? JSONText.string(base, text).utf8.count : text.end - text.start)
                key = Int(name.next)
            }
        }
    }
}

extension JSONLimits {
    /// As much as is ever accepted: for texts that were checked before.
    fileprivate static let widest = JSONLimits(maximumDepth: 512, maximumSize: .max)
}
