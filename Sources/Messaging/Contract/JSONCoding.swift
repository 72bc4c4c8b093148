/// How a method's arguments or result become JSON and come back: chosen once, when the method is declared, so that a
/// call needs no look-up, and so that `Void`, which cannot be `Codable`, can stand for nothing.
package struct JSONCoding<Value: Sendable>: Sendable {
    package let encode: @Sendable (Value) throws(JSONError) -> RawJSON
    package let decode: @Sendable (RawJSON) throws(JSONError) -> Value
    /// What the JSON looks like; found when it is asked for.
    let shape: @Sendable () -> JSONShape
}

extension JSONCoding where Value: Codable {
    package static var codable: JSONCoding {
        JSONCoding(
            encode: { value throws(JSONError) in try RawJSON(encoding: value) },
            decode: { raw throws(JSONError) in try raw.decode(Value.self) },
            shape: { ShapeSearch.shape(of: Value.self) }
        )
    }
}

extension JSONCoding where Value == Void {
    /// No arguments: an empty object, and any object is taken, since a caller may know arguments that we do not.
    package static var noArguments: JSONCoding {
        JSONCoding(
            encode: { _ throws(JSONError) in .emptyObject },
            decode: { _ throws(JSONError) in },
            shape: { .object([:]) }
        )
    }

    /// No result: `null`, and whatever the peer returns is let go.
    package static var none: JSONCoding {
        JSONCoding(encode: { _ throws(JSONError) in .null }, decode: { _ throws(JSONError) in }, shape: { .null })
    }
}
