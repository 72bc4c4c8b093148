extension JSONWriter {
    /// A container that is being written, and what of it comes next.
    private enum OpenContainer {
        case array([JSONValue], next: Int)
        case object([String: JSONValue], next: Dictionary<String, JSONValue>.Index)
        case sortedObject([(key: String, value: JSONValue)], next: Int)
    }

    /// Writes a value.
    ///
    /// The containers that are open are kept in an array and not on the stack, as a program may nest its values as deep as
    /// it likes.
    package mutating func write(_ value: JSONValue, sortedKeys: Bool = false) {
        guard var current = self.open(value, sortedKeys: sortedKeys) else { return }
        var outer: [OpenContainer] = []
        while true {
            guard let value = self.next(&current) else {
                guard let container = outer.popLast() else { return }
                current = container
                continue
            }
            if let container = self.open(value, sortedKeys: sortedKeys) {
                outer.append(current)
                current = container
            }
        }
    }

    /// Writes a scalar or an empty container, or opens a container and returns it.
    @inline(__always)
    private mutating func open(_ value: JSONValue, sortedKeys: Bool) -> OpenContainer? {
        switch value {
        case .null: self.writeNull()
        case .bool(let value): self.write(value)
        case .integer(let value): self.write(value)
        case .bigInteger(let value): self.write(value)
        case .double(let value): self.write(value)
        case .string(let value): self.write(value)
        case .array(let elements):
            self.write(byte: JSONByte.openBracket)
            return .array(elements, next: 0)
        case .object(let members):
            self.write(byte: JSONByte.openBrace)
            if sortedKeys { return .sortedObject(members.sorted { $0.key < $1.key }, next: 0) }
            return .object(members, next: members.startIndex)
        }
        return nil
    }

    /// Writes what stands before the next value and returns the value; at the end, closes the container.
    @inline(__always)
    private mutating func next(_ container: inout OpenContainer) -> JSONValue? {
        switch container {
        case .array(let elements, let next):
            guard next < elements.count else {
                self.write(byte: JSONByte.closeBracket)
                return nil
            }
            if next > 0 { self.write(byte: JSONByte.comma) }
            container = .array(elements, next: next + 1)
            return elements[next]
        case .object(let members, let next):
            guard next != members.endIndex else {
                self.write(byte: JSONByte.closeBrace)
                return nil
            }
            if next != members.startIndex { self.write(byte: JSONByte.comma) }
            container = .object(members, next: members.index(after: next))
            self.write(key: members[next].key)
            return members[next].value
        case .sortedObject(let members, let next):
            guard next < members.count else {
                self.write(byte: JSONByte.closeBrace)
                return nil
            }
            if next > 0 { self.write(byte: JSONByte.comma) }
            container = .sortedObject(members, next: next + 1)
            self.write(key: members[next].key)
            return members[next].value
        }
    }
}
