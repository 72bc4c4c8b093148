/// The context of a request that was read: where its entries lie in the payload, by their names without the prefix
/// `_context_`.
package struct RawContext: Sendable {
    private let entries: [PayloadIndex.ContextEntry]
    private let payload: ArraySlice<UInt8>

    init(entries: [PayloadIndex.ContextEntry], payload: ArraySlice<UInt8>) {
        self.entries = entries
        self.payload = payload
    }

    /// The entries as dynamic values; of repeated names the last one counts.
    package func values() throws(JSONError) -> [String: JSONValue] {
        guard !self.entries.isEmpty else { return [:] }
        return try self.payload.withUnsafeBufferPointer { text throws(JSONError) in
            var values = [String: JSONValue](minimumCapacity: self.entries.count)
            for entry in self.entries {
                let value = text[Int(entry.value.start)..<Int(entry.value.end)]
                values[Self.name(of: entry, in: text)] = try JSONValue(parsing: value)
            }
            return values
        }
    }

    /// Whether there are more entries than `limit`; those of one name are one.
    package func hasMoreEntries(than limit: Int) -> Bool {
        guard self.entries.count > limit else { return false }
        return self.payload.withUnsafeBufferPointer { text in
            Set(self.entries.lazy.map { Self.name(of: $0, in: text) }).count > limit
        }
    }

    /// The length of the longest name in bytes; zero if there is no entry.
    package var longestName: Int {
        self.payload.withUnsafeBufferPointer { text in
            var longest = 0
            for entry in self.entries {
                let key = entry.key
                let prefix = PayloadIndex.contextPrefix.utf8CodeUnitCount
                let length =
                    key.hasEscapes
                    ? Self.name(of: entry, in: text).utf8.count : key.end &- key.start &- prefix
                longest = max(longest, length)
            }
            return longest
        }
    }

    private static func name(of entry: PayloadIndex.ContextEntry, in text: UnsafeBufferPointer<UInt8>) -> String {
        // There is no entry without a text.
        guard let base = text.baseAddress else { return "" }
        let prefix = PayloadIndex.contextPrefix.utf8CodeUnitCount
        var key = entry.key
        guard !key.hasEscapes else {
            return String(decoding: JSONText.string(base, key).utf8.dropFirst(prefix), as: UTF8.self)
        }
        key.start &+= prefix
        return JSONText.string(base, key)
    }

    /// Writes the entries as further members of a payload.
    func write(to writer: inout JSONWriter) {
        self.payload.withUnsafeBufferPointer { text in
            for entry in self.entries {
                writer.writeNext(contextKey: Self.name(of: entry, in: text))
                let value = self.payload.startIndex &+ Int(entry.value.start)
                writer.write(RawJSON(checked: self.payload[value..<(self.payload.startIndex &+ Int(entry.value.end))]))
            }
        }
    }
}
