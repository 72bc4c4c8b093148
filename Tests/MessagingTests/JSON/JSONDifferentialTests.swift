import Foundation
import Messaging
import Testing

/// The codec beside the two that peers and programs use: Python's `json` and Foundation's.
struct JSONDifferentialTests {
    @Test func `any text is read or refused as Python reads or refuses it`() async throws {
        var generator = JSONTextGenerator(seed: 11)
        var texts: [[UInt8]] = []
        for _ in 0..<800 {
            await Task.yield()  // Others share the thread.
            let text = generator.document()
            texts.append(text)
            for _ in 0..<3 { texts.append(generator.damaged(text)) }
        }
        texts.append(Array(String(repeating: "[", count: 200).utf8) + Array(String(repeating: "]", count: 200).utf8))
        for name in Fixture.messageNames { texts.append(try #require(Fixture(name).body)) }
        let readings = try await PythonJSON.read(texts.map { (.document, $0) })
        var refused = 0
        for (text, python) in zip(texts, readings) {
            await Task.yield()  // Others share the thread.
            do throws(JSONError) {
                let value = try JSONValue(parsing: text)
                #expect(PythonJSON.exact(value) == python.exact, "\(String(decoding: text, as: UTF8.self))")
                #expect(identical(try WireDecoder().decode(JSONValue.self, from: text), value))
                let raw = try RawJSON(checking: text)
                #expect(identical(try raw.value(), value))
                if Self.isOrdered(value), !raw.text.contains(#"\u"#) { #expect(value.serialized() == python.written) }
            } catch {
                #expect(python.exact == nil, "\(error) in \(String(decoding: text, as: UTF8.self))")
                refused += 1
            }
        }
        #expect(refused > 500)
        #expect(texts.count - refused > 800)
    }

    @Test func `any message is taken apart as Python takes it apart`() async throws {
        var generator = JSONTextGenerator(seed: 12)
        var bodies: [[UInt8]] = []
        for name in Fixture.messageNames { bodies.append(try #require(Fixture(name).body)) }
        for _ in 0..<200 {
            let args = try RawJSON(checking: Array("{\"data\": ".utf8) + generator.document() + Array("}".utf8))
            bodies.append(RequestPayload(method: "m", args: args, messageID: "id", replyQueue: "q").encoded())
            bodies.append(ReplyPayload.result(args).encoded(messageID: "id"))
            bodies.append(
                ReplyPayload.failure(RemoteFailure(className: "C", module: "m", message: args.text))
                    .encoded(messageID: "id")
            )
        }
        let whole = bodies.count
        for index in 0..<2_000 { bodies.append(generator.damaged(bodies[index % whole])) }
        let readings = try await PythonJSON.read(bodies.map { (.envelope, $0) })
        var taken = 0
        for (index, (body, python)) in zip(bodies, readings).enumerated() {
            await Task.yield()  // Others share the thread.
            let shown = Comment(rawValue: String(decoding: body, as: UTF8.self))
            let payload = Result { () throws(WireError) in
                try Envelope(decoding: body, contentType: "application/json").payload
            }
            let value = (try? payload.get()).flatMap { try? JSONValue(parsing: $0) }
            // An empty body is an empty payload to a Python service, which does not come to reading it.
            if case .object? = value, !body.isEmpty {
                #expect(value.map(PythonJSON.exact) == python.exact, shown)
            } else {
                #expect(python.exact == nil || body.isEmpty, shown)
            }
            #expect(index >= whole || python.exact != nil)
            // Whatever is taken as a request or a reply is what Python has read, down to its members.
            if let request = try? RequestPayload(decoding: body, contentType: "application/json") {
                #expect(value?["method"]?.stringValue == request.method, shown)
                #expect(identical(try request.args.value(), value?["args"] ?? .object([:])), shown)
                let members = try request.args.decode([String: RawJSON].self)
                #expect(try members.mapValues { try $0.value().description } == Self.members(value?["args"]), shown)
                taken += 1
            }
            if let reply = try? ReplyPayload(decoding: body, contentType: "application/json") {
                #expect(value?["_msg_id"]?.stringValue == reply.messageID, shown)
                #expect(try reply.result?.value().description == value?["result"]?.description, shown)
                taken += 1
            }
        }
        #expect(taken > 700)
    }

    private static func members(_ value: JSONValue?) -> [String: String] {
        (value?.objectValue ?? [:]).mapValues(\.description)
    }

    /// Whether there is one order only in which the value can be written.
    private static func isOrdered(_ value: JSONValue) -> Bool {
        switch value {
        case .array(let elements): elements.allSatisfy(Self.isOrdered)
        case .object(let members): members.count < 2 && members.values.allSatisfy(Self.isOrdered)
        default: true
        }
    }

    // MARK: - Foundation

    @Test func `captured messages are read as Foundation reads them`() throws {
        #expect(Fixture.messageNames.count > 40)
        for name in Fixture.messageNames {
            let fixture = try Fixture(name)
            let body = try #require(fixture.body)
            let object = try JSONSerialization.jsonObject(with: Data(body))
            let again = try JSONSerialization.data(withJSONObject: object)
            #expect(Self.loosely(try JSONValue(parsing: again)) == Self.loosely(try JSONValue(parsing: body)))
        }
    }

    struct Record: Codable, Equatable {
        var id: Int
        var name: String
        var state: String?
        var load: Double
        var ok: Bool
        var tags: [String: [Int]]
    }

    @Test func `types are read and written as Foundation's coders do`() async throws {
        var random = SeededGenerator(seed: 13)
        var texts = JSONTextGenerator(seed: 14)
        for _ in 0..<100 {
            await Task.yield()  // Others share the thread.
            let records = try (0..<Int.random(in: 0...8, using: &random)).map { _ in
                Record(
                    id: Int(truncatingIfNeeded: random.next()) >> Int.random(in: 0..<63, using: &random),
                    name: try JSONValue(parsing: texts.string()).stringValue ?? "",
                    state: Bool.random(using: &random) ? "up" : nil,
                    load: Double(Int.random(in: -1_000_000...1_000_000, using: &random)) / 1_000,
                    ok: .random(using: &random),
                    tags: ["a": [1, 2], "b": []]
                )
            }
            let ours = try WireEncoder().encode(records)
            #expect(try FoundationCoders.decode([Record].self, Data(ours)) == records)
            let theirs = Array(try FoundationCoders.encode(records))
            #expect(try WireDecoder().decode([Record].self, from: theirs) == records)
            // As a member of arguments, where it is read from inside of a text that was checked before.
            let request = RequestPayload(method: "m", args: try RawJSON(encoding: ["records": records]))
            let read = try RequestPayload(decoding: request.encoded(), contentType: "application/json")
            #expect(try read.args.decode([String: [Record]].self) == ["records": records])
        }
    }

    /// All numbers as doubles, as Foundation's values do not tell them apart.
    private static func loosely(_ value: JSONValue) -> JSONValue {
        switch value {
        case .integer, .bigInteger: .double(value.doubleValue ?? 0)
        case .array(let elements): .array(elements.map(Self.loosely))
        case .object(let members): .object(members.mapValues(Self.loosely))
        default: value
        }
    }
}
