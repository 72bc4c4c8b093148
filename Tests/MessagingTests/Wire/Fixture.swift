import Foundation
import Messaging
import Testing

/// A message, or a set of observations, captured from the Python peer.
struct Fixture: CustomTestStringConvertible, Sendable {
    let name: String
    let value: JSONValue

    var testDescription: String { self.name }

    /// The message's body as it was on the wire.
    var body: [UInt8]? { self.value["body_utf8"]?.stringValue.map { Array($0.utf8) } }
    /// The payload that Python read from it.
    var payload: JSONValue? { self.value["body_json"]?["oslo.message"] }
    /// The failure that Python read from it.
    var failure: JSONValue? { self.value["failure_json"] }

    private static let directory = Bundle.module.resourceURL?.appendingPathComponent("Fixtures")

    /// Reads one file.
    init(_ name: String) throws {
        let file = try #require(Self.directory).appendingPathComponent(name + ".json")
        self.name = name
        self.value = try JSONValue(parsing: Data(contentsOf: file))
    }

    /// The names of all files that hold a message body.
    static let messageNames: [String] = {
        guard let directory = Self.directory,
            let files = try? FileManager.default.contentsOfDirectory(atPath: directory.path)
        else { return [] }
        return files.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
            .filter { name in (try? Fixture(name))?.body != nil }
    }()

    static let requestNames = Self.messageNames.filter { !$0.hasPrefix("reply_") }
    static let replyNames = Self.messageNames.filter { $0.hasPrefix("reply_") }
}
