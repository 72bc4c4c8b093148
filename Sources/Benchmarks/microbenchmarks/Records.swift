import Messaging

/// What the messages carry: a list of small records, as a service would report of its volumes.
struct Record: Codable, Sendable {
    var id: String
    var host: String
    var status: String
    var size: Int
    var load: Double
    var encrypted: Bool

    init(_ number: Int) {
        let digits = String(number)
        self.id = String(repeating: "0", count: 8 - digits.count) + digits + "-6d2b-4c0e-9b6e-5c1f3a3a9d01"
        self.host = "node-\(number % 40)"
        self.status = "available"
        self.size = 1 + number % 7
        self.load = 0.25
        self.encrypted = false
    }

    /// Two of them are about 280 bytes of JSON, 120 about 16 KiB.
    static func list(_ count: Int) -> [Record] { (0..<count).map { Record($0) } }
}

/// What a method is given.
struct Arguments: Codable, Sendable {
    var data: [Record]
}

/// The ids and names of a real message, always the same.
enum Sample {
    static let messageID = "5e1cf0f3a1b44d1e9d0d3b9fd1a7c2e4"
    static let uniqueID = "b0a0b1a2c3d4e5f60718293a4b5c6d7e"
    static let contentType = "application/json"

    static func request(_ records: Int) throws -> RequestPayload {
        RequestPayload(
            method: "update_volumes",
            args: try RawJSON(encoding: Arguments(data: Record.list(records))),
            version: "3.12",
            messageID: self.messageID,
            replyQueue: "reply_9f8e7d6c5b4a39281706f5e4d3c2b1a0",
            uniqueID: self.uniqueID,
            context: ["is_admin": true, "request_id": "req-4f0c64a1-5d7e-4bb0-9d3c-0f5b6d3c1a2e", "roles": ["admin"]]
        )
    }

    static func reply(_ records: Int) throws -> ReplyPayload {
        .result(try RawJSON(encoding: Record.list(records)))
    }
}
