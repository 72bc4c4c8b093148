/// The head of a request, as far as a health surface needs it.
struct HTTPRequest: Equatable {
    /// What becomes of the bytes that have arrived.
    enum Reading: Equatable {
        /// The head is not complete.
        case unfinished
        case request(HTTPRequest)
        /// It is none; the status says why.
        case refused(HTTPResponse.Status)
    }

    /// A head that is longer is refused.
    static let maximumHead = 8 << 10

    let method: String
    /// Without the query.
    let path: String

    /// Reads a head; what follows it is not looked at, as nothing here takes a body.
    static func read(_ bytes: [UInt8]) -> Reading {
        guard let end = Self.endOfHead(bytes) else {
            return bytes.count > Self.maximumHead ? .refused(.headTooLarge) : .unfinished
        }
        guard end <= Self.maximumHead else { return .refused(.headTooLarge) }
        // RFC 9112, 2.2: an empty line before the request is to be ignored.
        let head = bytes[..<end].drop { $0 == 13 || $0 == 10 }
        let line = head.prefix { $0 != 10 && $0 != 13 }
        let parts = line.split(separator: 32, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[1].first == UInt8(ascii: "/"),
            line.allSatisfy({ (0x20..<0x7f).contains($0) })
        else { return .refused(.malformed) }
        let version = Array(parts[2])
        guard version.starts(with: Array("HTTP/".utf8)) else { return .refused(.malformed) }
        guard version == Array("HTTP/1.1".utf8) || version == Array("HTTP/1.0".utf8) else {
            return .refused(.unknownVersion)
        }
        let path = parts[1].prefix { $0 != UInt8(ascii: "?") }
        return .request(
            HTTPRequest(method: String(decoding: parts[0], as: UTF8.self), path: String(decoding: path, as: UTF8.self))
        )
    }

    /// Where the empty line ends that ends the head.
    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        var lineIsEmpty = true
        var hasLine = false
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case 13: continue
            case 10:
                if lineIsEmpty, hasLine { return index + 1 }
                lineIsEmpty = true
            default:
                lineIsEmpty = false
                hasLine = true
            }
        }
        return nil
    }
}

/// What is answered; every answer ends its connection.
struct HTTPResponse: Equatable {
    /// A status line.
    struct Status: Equatable {
        let code: Int
        let reason: String

        static let ok = Status(code: 200, reason: "OK")
        static let malformed = Status(code: 400, reason: "Bad Request")
        static let notFound = Status(code: 404, reason: "Not Found")
        static let methodNotAllowed = Status(code: 405, reason: "Method Not Allowed")
        static let headTooLarge = Status(code: 431, reason: "Request Header Fields Too Large")
        static let unavailable = Status(code: 503, reason: "Service Unavailable")
        static let unknownVersion = Status(code: 505, reason: "HTTP Version Not Supported")
    }

    static let json = "application/json"
    static let text = "text/plain; charset=utf-8"
    static let prometheus = "text/plain; version=0.0.4; charset=utf-8"

    var status: Status
    var contentType: String
    var body: String

    /// A status in words.
    init(_ status: Status) {
        self.init(status, "\(status.reason)\n")
    }

    init(_ status: Status, _ body: String, contentType: String = Self.text) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// The bytes on the wire.
    func encoded(withBody: Bool) -> [UInt8] {
        let body = Array(self.body.utf8)
        var head = "HTTP/1.1 \(self.status.code) \(self.status.reason)\r\n"
        head += "Content-Type: \(self.contentType)\r\nContent-Length: \(body.count)\r\nCache-Control: no-store\r\n"
        if self.status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
        head += "Connection: close\r\n\r\n"
        return Array(head.utf8) + (withBody ? body : [])
    }
}
