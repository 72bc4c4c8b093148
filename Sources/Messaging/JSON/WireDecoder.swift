/// Reads `Decodable` values from JSON text as Python peers write it.
///
/// Whole numbers read as integers and as doubles, `NaN` and `Infinity` as doubles, `null` as a missing optional; keys that
/// the type does not know are ignored; of repeated keys the last one counts. Types read straight from the bytes: no tree
/// of values is built.
public struct WireDecoder: Sendable {
    /// How much is accepted.
    public var limits: JSONLimits

    /// Creates a decoder.
    ///
    /// - Parameter limits: How much is accepted.
    public init(limits: JSONLimits = .default) {
        self.limits = limits
    }

    /// Reads a value.
    ///
    /// - Parameters:
    ///   - type: The type.
    ///   - bytes: The text in UTF-8.
    /// - Returns: The value.
    /// - Throws: ``JSONError`` with the path to what did not fit.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self,
        from bytes: some Collection<UInt8>
    ) throws(JSONError) -> Value {
        let limits = self.limits
        return try withJSONBytes(of: bytes, limits: limits) { buffer throws(JSONError) in
            try self.decode(type, from: buffer, tokens: TokenList.reading(buffer, limits: limits), shared: nil)
        }
    }

    /// Reads a checked text, of which raw texts may be slices.
    ///
    /// Where the object's members are known already, only what is asked for is read.
    func decode<Value: Decodable>(_ type: Value.Type, from raw: RawJSON) throws(JSONError) -> Value {
        let limits = self.limits
        return try withJSONBytes(of: raw.bytes, limits: limits) { buffer throws(JSONError) in
            if let members = raw.members, let base = buffer.baseAddress {
                let tokens = TokenList(members, base: base)
                return try self.decode(type, from: buffer, tokens: tokens, shared: raw.bytes)
            }
            let tokens = try TokenList.reading(buffer, limits: limits)
            return try self.decode(type, from: buffer, tokens: tokens, shared: raw.bytes)
        }
    }

    private func decode<Value: Decodable>(
        _ type: Value.Type,
        from buffer: UnsafeBufferPointer<UInt8>,
        tokens: consuming TokenList,
        shared: ArraySlice<UInt8>?
    ) throws(JSONError) -> Value {
        var source = DecodingSource(buffer, tokens: tokens, shared: shared, limits: self.limits)
        defer {
            // A type may have kept the decoder it was handed, which borrows the caller's bytes.
            if !isKnownUniquelyReferenced(&source) { source.takeOwnership() }
        }
        do {
            return try source.value(type, at: 0)
        } catch {
            throw JSONError(decoding: error)
        }
    }
}

extension JSONError {
    /// The error for whatever an `init(from:)` has thrown.
    init(decoding error: any Error) {
        if let error = error as? JSONError {
            self = error
            return
        }
        guard let error = error as? DecodingError else {
            self.init(code: .invalid, message: String(describing: error), cause: error)
            return
        }
        let code: Code
        let context: DecodingError.Context
        var keys: [any CodingKey] = []
        switch error {
        case .typeMismatch(_, let found): (code, context) = (.type, found)
        case .valueNotFound(_, let found): (code, context) = (.type, found)
        case .dataCorrupted(let found): (code, context) = (.invalid, found)
        case .keyNotFound(let key, let found):
            (code, context) = (.missing, found)
            keys = [key]
        @unknown default:
            self.init(code: .invalid, message: String(describing: error), cause: error)
            return
        }
        let path = JSONError.path(context.codingPath + keys)
        if let cause = context.underlyingError as? JSONError {
            self = cause
            self.path = path
        } else {
            // "is missing" is our own text for a key; a type's own text may be anything.
            let message = code == .missing ? "is missing" : context.debugDescription
            self.init(code: code, message: message, path: path, cause: context.underlyingError)
        }
    }
}
