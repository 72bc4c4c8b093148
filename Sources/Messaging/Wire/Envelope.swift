/// The outer object of a message: a version, and the payload as JSON text inside a string (wire contract 3.1).
package struct Envelope: Sendable {
    private static let versionKey = "oslo.version"
    private static let messageKey = "oslo.message"

    /// The text of the payload, not checked yet.
    package let payload: ArraySlice<UInt8>

    /// Opens a message by the rules that Python servers and clients follow.
    ///
    /// - Parameters:
    ///   - body: The message's body.
    ///   - contentType: Its content type.
    ///   - contentEncoding: Its content encoding. A character set needs no attention, as JSON is UTF-8.
    ///   - compression: The value of its header `compression`.
    ///   - limits: How much is accepted.
    /// - Throws: `WireError`.
    package init(
        decoding body: [UInt8],
        contentType: String?,
        contentEncoding: String? = nil,
        compression: String? = nil,
        limits: JSONLimits = .default
    ) throws(WireError) {
        if let compression, !compression.isEmpty {
            throw WireError(
                .unsupportedCompression,
                "the body cannot be decompressed ('\(compression.prefix(200))'); use gzip, bz2 or no kombu_compression"
            )
        }
        // What nearly all peers send needs no closer look.
        let encoding = contentEncoding == "utf-8" ? nil : contentEncoding?.lowercased()
        if let encoding, ["gzip", "x-gzip", "deflate", "bzip2", "br"].contains(encoding) {
            throw WireError(
                .unsupportedCompression,
                "the body's encoding is '\(encoding)'; compression is told by the header 'compression'"
            )
        }
        // Python hands an empty body on as an empty payload, whatever its type.
        guard !body.isEmpty else {
            self.payload = Array("{}".utf8)[...]
            return
        }
        guard let contentType else {
            throw WireError(.unsupportedContentType, "the message has no content type; application/json is expected")
        }
        guard Self.isJSON(contentType) else {
            throw WireError(
                .unsupportedContentType,
                "the content type is '\(contentType.prefix(64))'; application/json is expected"
            )
        }
        do {
            self.payload = try Self.open(body, limits: limits)
        } catch let error as WireError {
            throw error
        } catch let error as JSONError {
            throw WireError(error, in: "envelope")
        } catch {
            throw WireError(.malformed, "the envelope cannot be read: \(error)", cause: error)
        }
    }

    private static func isJSON(_ contentType: String) -> Bool {
        if contentType == "application/json" { return true }
        let mediaType = contentType.prefix { $0 != ";" }
        return mediaType.lowercased().split(separator: " ") == ["application/json"]
    }

    private static func open(_ body: [UInt8], limits: JSONLimits) throws -> ArraySlice<UInt8> {
        try body.withUnsafeBufferPointer { buffer in
            try limits.check(size: buffer.count)
            if let content = Self.openUsual(buffer, limits: limits) { return content[...] }
            var object = try ObjectScanner(buffer, limits: limits)
            var version: RawRange?
            var message: ObjectScanner.Member?
            while let member = try object.next(opening: Self.messageKey) {
                if member.hasKey(Self.versionKey) {
                    version = member.value
                } else if member.hasKey(Self.messageKey) {
                    message = member
                }
            }
            // Without both keys the whole object is a payload of the time before envelopes.
            guard let version, let message else { return body[...] }
            if let error = object.depthError { throw error }
            try Self.checkVersion(object.string(version))
            guard let content = message.content else {
                throw WireError(.malformed, "'\(Self.messageKey)' is not a string")
            }
            return content[...]
        }
    }

    // What stands before the payload as Python's json module writes it, and as we do.
    private static let spacedHead: StaticString = #"{"oslo.version": "2.0", "oslo.message": "#
    private static let head: StaticString = #"{"oslo.version":"2.0","oslo.message":"#

    /// The payload of an envelope that is written as nearly all peers write it, or `nil` if anything else is to be seen.
    private static func openUsual(_ body: UnsafeBufferPointer<UInt8>, limits: JSONLimits) -> [UInt8]? {
        do throws(JSONError) {
            var scanner = try JSONScanner(body, limits: limits)
            guard scanner.takeWord(Self.head) || scanner.takeWord(Self.spacedHead),
                scanner.peek() == JSONByte.quote
            else { return nil }
            let content = try scanner.takeStringValue()
            guard scanner.take(JSONByte.closeBrace) else { return nil }
            try scanner.expectEnd()
            return content
        } catch _ {
            // It is found again, and thrown, by the reader that knows every form.
            return nil
        }
    }

    /// Only 2.0 is spoken; `2.0.0` is another way to write it.
    private static func checkVersion(_ version: String?) throws(WireError) {
        guard version == "2.0" || version == "2.0.0" else {
            throw WireError(
                .unsupportedEnvelope,
                "the envelope is of version \(version.map { "'\($0.prefix(32))'" } ?? "that is not text"); 2.0 is expected"
            )
        }
    }

    /// Writes an envelope around the payload that `body` writes, of which `contentSize` bytes are known, so that there is
    /// room for them.
    static func encode<Failure: Error>(
        contentSize: Int = 0,
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> [UInt8] {
        // Quotes, of which every fifth byte may be one, get a backslash each.
        try JSONWriter.text(capacity: 512 + contentSize + contentSize / 5) { writer throws(Failure) in
            // Outside of all strings, where a quote stands for itself.
            writer.write(plain: Self.head)
            try writer.writeDocumentInString(body)
            writer.write(byte: JSONByte.closeBrace)
        }
    }
}
