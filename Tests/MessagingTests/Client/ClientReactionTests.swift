import MessagingTesting
import Testing

@testable import Messaging

/// Wire contract 3.3, 3.4 and 5.1: each reply that was tried on a Python client is given to ours.
@Suite(.timeLimit(.minutes(3))) struct ClientReactionTests {
    private enum Outcome: Equatable, CustomStringConvertible {
        case returned(JSONValue)
        case raised(RPCError.Code, String?)

        var description: String {
            switch self {
            case .returned(let value): "returned \(value)"
            case .raised(let code, let name): "\(code) \(name ?? "")"
            }
        }
    }

    /// A reply, and how long after the one before it comes.
    private struct Step {
        var delay = Duration.zero
        var messageID: String?
        let members: JSONValue
    }

    private static let ok: JSONValue = ["result": 5, "failure": nil, "ending": true, "_unique_id": "a"]
    private static let heartbeat: JSONValue = ["result": nil, "failure": nil, "ending": false]

    /// Calls a method, and answers as the steps say.
    private func call(
        _ steps: [Step],
        timeout: Duration = .seconds(20),
        monitor: Duration? = nil
    ) async throws -> (Outcome, late: Int) {
        let transport = ScriptedTransport()
        var client = RPCClient(transport, target: .topic("t"))
        client.options.callMonitorTimeout = monitor
        let outcome = try await withThrowingTaskGroup(of: Outcome?.self) { group in
            group.addTask { [client] in
                do {
                    return .returned(try await client.call("m", timeout: timeout))
                } catch let error as RPCError {
                    return .raised(error.code, error.failure?.className)
                }
            }
            group.addTask {
                let sent = try #require(try await transport.sent.first(1).first)
                let id = try #require(
                    RequestPayload(decoding: sent.message.body, contentType: "application/json").messageID
                )
                for step in steps {
                    try await Task.sleep(for: step.delay)
                    var members = try #require(step.members.objectValue)
                    members["_msg_id"] = .string(step.messageID ?? id)
                    transport.replies.receive([
                        Delivery(body: JSONValue.object(members).serialized(), token: Delivery.Token(tag: 1))
                    ])
                }
                return nil
            }
            var outcome: Outcome?
            while let result = try await group.next() { outcome = outcome ?? result }
            return try #require(outcome)
        }
        #expect(transport.replies.waitingCalls == 0)
        return (outcome, transport.replies.lateReplies)
    }

    private func failure(_ members: JSONValue) -> JSONValue {
        ["result": nil, "failure": .string(members.description), "ending": true]
    }

    @Test func `wire contract 3.3: what a reply needs`() async throws {
        #expect(try await call([Step(members: Self.ok)]).0 == .returned(5))
        #expect(try await call([Step(members: ["result": 5, "failure": nil, "ending": true])]).0 == .returned(5))
        #expect(try await call([Step(members: ["failure": nil, "ending": true])]).0 == .returned(nil))
        #expect(try await call([Step(members: ["result": 1, "failure": "", "ending": true])]).0 == .returned(1))
        // Python's caller meets a KeyError.
        #expect(try await call([Step(members: ["result": 5, "ending": true])]).0 == .returned(5))
    }

    @Test func `wire contract 3.3: the old pair of messages is one reply`() async throws {
        let pair = [
            Step(members: ["result": 5, "failure": nil, "ending": false]),
            Step(members: ["failure": nil, "ending": true]),
        ]
        #expect(try await call(pair).0 == .returned(5))
        // Python's caller meets an AttributeError, as the first part looks like a heartbeat.
        let empty = [Step(members: Self.heartbeat), Step(members: ["failure": nil, "ending": true])]
        #expect(try await call(empty).0 == .returned(nil))
    }

    @Test func `wire contract 5.1: a heartbeat that was not asked for does no harm`() async throws {
        // Python's caller meets an AttributeError.
        let (outcome, late) = try await call([Step(members: Self.heartbeat), Step(members: Self.ok)])
        #expect(outcome == .returned(5))
        #expect(late == 0)
    }

    @Test func `wire contract 5.1: heartbeats keep a monitored call alive`() async throws {
        let steps = Array(repeating: Step(delay: .seconds(1), members: Self.heartbeat), count: 4)
        let outcome = try await call(
            steps + [Step(delay: .seconds(1), members: Self.ok)],
            monitor: .seconds(4)
        )
        #expect(outcome.0 == .returned(5))
    }

    @Test func `wire contract 5.1: without heartbeats a monitored call times out before its timeout`() async throws {
        let start = ContinuousClock.now
        let outcome = try await call([], timeout: .seconds(60), monitor: .milliseconds(100))
        #expect(outcome.0 == .raised(.timeout, nil))
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func `wire contract 5.1: heartbeats do not extend the timeout`() async throws {
        let steps = Array(repeating: Step(delay: .milliseconds(50), members: Self.heartbeat), count: 8)
        #expect(
            try await call(steps, timeout: .milliseconds(200), monitor: .seconds(10)).0 == .raised(.timeout, nil)
        )
    }

    @Test func `wire contract 5.1: late, unknown and repeated replies are dropped and counted`() async throws {
        let unknown = try await call([Step(messageID: "nobody", members: Self.ok), Step(members: Self.ok)])
        #expect(unknown.0 == .returned(5) && unknown.late == 1)
        let twice = try await call([Step(members: Self.ok), Step(members: Self.ok)])
        #expect(twice.0 == .returned(5))
        let late = try await call(
            [Step(delay: .seconds(2), members: Self.ok)],
            timeout: .milliseconds(50)
        )
        #expect(late.0 == .raised(.timeout, nil) && late.late == 1)
    }

    @Test func `wire contract 3.4: a failure is text in the text, and what it lacks is made the best of`() async throws
    {
        let minimal = failure(["class": "ValueError", "module": "builtins"])
        #expect(try await call([Step(members: minimal)]).0 == .raised(.remote, "ValueError"))
        let old = failure([
            "class": "ValueError", "module": "exceptions", "message": "old", "tb": ["t1", "t2"], "args": ["old"],
            "kwargs": [:],
        ])
        #expect(try await call([Step(members: old)]).0 == .raised(.remote, "ValueError"))
        let exit = failure(["class": "SystemExit", "module": "builtins", "message": "x", "tb": [], "args": []])
        #expect(try await call([Step(members: exit)]).0 == .raised(.remote, "SystemExit"))
        let foreign = failure(["class": "Swift", "module": "worker.errors", "message": "m", "tb": ["line\n"]])
        #expect(try await call([Step(members: foreign)]).0 == .raised(.remote, "Swift"))
        // Python's caller meets an error of its JSON reader.
        let object: JSONValue = [
            "result": nil, "failure": ["class": "X", "module": "m", "message": "hi"], "ending": true,
        ]
        #expect(try await call([Step(members: object)]).0 == .raised(.remote, "X"))
    }

    // MARK: Allowed errors

    /// Takes the errors of the Python module that the captures were made with.
    private struct WireError: Error, RemoteFailureInitializable {
        let failure: RemoteFailure
        init?(_ failure: RemoteFailure) {
            guard failure.module == "wire_exceptions" else { return nil }
            self.failure = failure
        }
    }

    @Test(arguments: [
        "builtin", "custom", "kwargs", "odd", "unicode", "key", "unsupported_version", "no_such_method",
    ])
    func `wire contract 3.4: a failure that a Python server sent is made an error only if it is allowed`(
        name: String
    ) async throws {
        let seen = try #require(try Fixture("client_exceptions").value["seen"]?[name])
        let fixture = try Fixture("reply_failure_" + name)
        let reply = try ReplyPayload(decoding: #require(fixture.body), contentType: "application/json")
        let failure = try #require(reply.failure)
        var client = RPCClient(ScriptedTransport(), target: .topic("t"))

        // With no errors allowed, as in Python by default: one type, with all that is known.
        let plain = try #require(client.error(for: failure, of: "fail") as? RPCError)
        #expect(plain.failure == failure)
        let refusals: [String: RPCError.Code] = [
            "unsupported_version": .unsupportedVersion, "no_such_method": .noSuchMethod,
        ]
        #expect(plain.code == refusals[name] ?? .remote)
        #expect(plain.message.contains(failure.className) && plain.message.contains(failure.message))
        #expect(!plain.message.contains("Traceback"))

        // With those of one module allowed, the others stay what they are.
        client.options.errors = [WireError.self]
        let allowed = client.error(for: failure, of: "fail")
        let module = seen["module"]?.stringValue ?? ""
        let isRebuilt = module == "wire_exceptions_Remote" || name == "odd"
        #expect((allowed is WireError) == isRebuilt)
        if let error = allowed as? WireError {
            // Python could not make WireOdd again of what it was sent; a type that reads the failure can.
            if name != "odd" { #expect(seen["type"]?.stringValue == error.failure.className + "_Remote") }
            if let kwargs = seen["kwargs"]?.objectValue { #expect(error.failure.kwargs == kwargs) }
        } else {
            #expect((allowed as? RPCError)?.failure?.className == (seen["exc_type"] ?? seen["type"])?.stringValue)
        }
    }

    // MARK: Rules

    @Test func `wire contract 5.2: the rules that Python's client follows without a broker`() async throws {
        let rules = try #require(try Fixture("client_reactions").value["rules"]?.objectValue)
        let capped = RPCClient(ScriptedTransport(), target: .topic("ct")).prepare { $0.versionCap = "1.4" }
        var compared = 0
        for (rule, outcome) in rules where rule.hasPrefix("can_send ") {
            let text = rule.split(separator: " ")[1]
            guard let version = RPCVersion(text) else { continue }
            #expect((capped.canSend(version) ? "True" : "False") == outcome.stringValue, "\(rule)")
            compared += 1
        }
        #expect(compared == 6)
    }
}
