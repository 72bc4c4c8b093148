/// Writes `Encodable` values as JSON text the way Python peers expect it.
///
/// Text is ASCII, `1.0` keeps its point, numbers that are not finite become Python's bare words, integers are never
/// rounded, and ``JSONValue`` and ``RawJSON`` are written as they are. Values go straight into the output; no tree is built.
public struct WireEncoder: Sendable {
    /// How deep a value may be nested.
    public var limits: JSONLimits

    /// Creates an encoder.
    ///
    /// - Parameter limits: How deep a value may be nested.
    public init(limits: JSONLimits = .default) {
        self.limits = limits
    }

    /// Writes a value.
    ///
    /// - Parameter value: The value.
    /// - Returns: The text.
    /// - Throws: ``JSONError/Code/unencodable`` with the path to what could not be written, ``JSONError/Code/depth``.
    public func encode(_ value: some Encodable) throws(JSONError) -> [UInt8] {
        let limits = self.limits
        return try JSONWriter.text(capacity: 256) { writer throws(JSONError) in
            try writer.write(encoding: value, limits: limits)
        }
    }
}

extension JSONWriter {
    /// Writes an `Encodable` value, at whatever level the writer is.
    ///
    /// After an error nothing of it is left.
    package mutating func write(encoding value: some Encodable, limits: JSONLimits = .default) throws(JSONError) {
        let start = self.count
        let output = EncodingOutput(writer: JSONWriter(like: self), maximumDepth: limits.maximumDepth)
        swap(&self, &output.writer)
        do {
            try output.write(value)
        } catch {
            swap(&self, &output.writer)
            self.truncate(to: start)
            throw JSONError(encoding: error)
        }
        if output.inserts.isEmpty {
            swap(&self, &output.writer)
        } else {
            var text = JSONWriter(like: self)
            output.flush(into: &text)
            // A type may have kept its encoder: what that holds must not be a buffer that somebody else frees.
            output.writer = JSONWriter(like: text)
            self = text
        }
    }
}

extension JSONError {
    /// The error for whatever an `encode(to:)` has thrown.
    init(encoding error: any Error) {
        if let error = error as? JSONError {
            self = error
        } else if case EncodingError.invalidValue(_, let context) = error {
            self.init(
                code: .unencodable,
                message: context.debugDescription,
                path: JSONError.path(context.codingPath),
                cause: context.underlyingError
            )
        } else {
            self.init(code: .unencodable, message: String(describing: error), cause: error)
        }
    }

    /// The text of a coding path, such as `volume.tags[2]`.
    static func path(_ keys: [any CodingKey]) -> String {
        var path = ""
        for key in keys {
            if let key = key as? JSONKey, let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return path
    }
}

/// A coding key of our own: an element's index, or a name that no type declared.
struct JSONKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    static let `super` = JSONKey(stringValue: "super")

    init(stringValue: String) {
        self.stringValue = stringValue
        self.intValue = nil
    }

    init(intValue: Int) {
        self.stringValue = String(intValue)
        self.intValue = intValue
    }
}

/// The text that one run of encoding writes, front to back.
///
/// What `encode(_:)` is given is written at once. A container asked for by `nestedContainer` or `superEncoder` may be
/// filled at any later time, so that it gets an output of its own, which is put into its place at the end.
final class EncodingOutput {
    /// No code of a type's own runs while it writes, so that there is never a second access to check for.
    @exclusivity(unchecked) var writer: JSONWriter
    let maximumDepth: Int
    /// How many scopes are open; only the innermost one may write.
    var openScopes = 0
    private(set) var inserts: [(offset: Int, scope: EncodingScope)] = []
    /// The first thing that went wrong where nothing could be thrown.
    var failure: (any Error)?

    var tooDeep: JSONError {
        JSONError(
            code: .depth,
            message: "arrays and objects are nested deeper than the limit of \(self.maximumDepth)"
        )
    }

    init(writer: consuming JSONWriter, maximumDepth: Int) {
        self.writer = writer
        self.maximumDepth = maximumDepth
    }

    /// Writes the whole value.
    func write(_ value: some Encodable) throws {
        try EncodingScope(output: self).write(value)
        if let failure = self.failure { throw failure }
        for insert in self.inserts { try insert.scope.finish() }
    }

    /// Keeps the present place for a container that is filled later.
    func insert(_ scope: EncodingScope) {
        self.inserts.append((self.writer.count, scope))
    }

    /// Takes back what was written and kept after the first `count` bytes.
    func truncate(to count: Int) {
        self.writer.truncate(to: count)
        while let last = self.inserts.last, last.offset > count { self.inserts.removeLast() }
    }

    /// Writes everything, each nested container in its place.
    func flush(into target: inout JSONWriter) {
        var position = 0
        for insert in self.inserts {
            target.write(self.writer, from: position, to: insert.offset)
            insert.scope.output.flush(into: &target)
            position = insert.offset
        }
        target.write(self.writer, from: position, to: self.writer.count)
    }
}
