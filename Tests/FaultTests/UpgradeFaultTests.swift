import FaultHarness
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport
import Testing

/// Hosts of three versions of one contract on one topic, and users who notice nothing of it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct UpgradeFaultTests {
    private static let topic = "upgraded"

    /// What the versions brought.
    private enum Method {
        static let first = RPCMethod<Void, String>("first", since: "3.0")
        static let second = RPCMethod<Void, String>("second", since: "3.1")
        static let third = RPCMethod<Void, String>("third", since: "3.2")
    }

    private protocol Operations: Sendable {}
    private struct NoOperations: Operations {}

    /// The contract as a build of the program has it, with all methods up to its version.
    private static func contract(_ version: RPCVersion) -> RPCContract<any Operations> {
        let bindings: [RPCBinding<any Operations>] = [Method.first, Method.second, Method.third]
            .filter { version.supports($0.since) }
            .map { method in method.served { _, _ in method.name } }
        return RPCContract("upgraded", version: version) { bindings }
    }

    /// A host that runs until it is stopped.
    private struct Host {
        let server: RPCServer
        let transport: RabbitMQTransport
        let running: Task<Void, any Error>

        init(_ url: String, _ name: String, _ version: RPCVersion) async throws {
            let transport = RabbitMQTransport(try FaultService.configuration(url))
            let server = RPCServer(
                transport,
                target: .topic(UpgradeFaultTests.topic, server: name),
                endpoints: [RPCEndpoint(UpgradeFaultTests.contract(version), serving: NoOperations())]
            )
            self.server = server
            self.transport = transport
            self.running = Task { try await server.run() }
            try await until(within: .seconds(20), "\(server.readiness)") { server.readiness == .ready }
        }

        func stop() async throws {
            self.server.stop()
            try await self.running.value
            await self.transport.close()
        }
    }

    /// What users saw: the names of the methods that answered, and what went wrong.
    private final class Experience: Sendable {
        private let state = Mutex((answers: [String](), errors: [String]()))

        var answers: [String] { self.state.withLock(\.answers) }
        var errors: [String] { self.state.withLock(\.errors) }

        func answered(_ name: String) { self.state.withLock { $0.answers.append(name) } }
        func failed(_ error: any Error) { self.state.withLock { $0.errors.append("\(error)") } }
    }

    /// Uses the newest method that the pin lets through, as a program does that was upgraded first.
    private static func use(_ client: RPCClient, _ experience: Experience) async {
        while !Task.isCancelled {
            let method = [Method.third, Method.second].first { client.canSend($0) } ?? Method.first
            do {
                experience.answered(try await client.call(method, timeout: .seconds(10)))
            } catch is CancellationError {
                return
            } catch let error as RPCError where error.code == .versionCapExceeded {
                // An old host came between the look at the pin and the call: nothing was sent, or it was refused before
                // anything ran. The program takes the older way, as it does where the pin says so before.
            } catch {
                experience.failed(error)
            }
            // Cancelled: then it ends by the loop's condition.
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func `fault 49: pins hold while hosts of three versions serve, and rise when the last old one has gone`()
        async throws
    {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            let transport = RabbitMQTransport(try FaultService.configuration(url))
            var settings = VersionPin.Configuration()
            settings.interval = .milliseconds(300)
            settings.patience = .milliseconds(200)
            let pin = VersionPin(transport, of: Self.contract("3.2"), topic: Self.topic, configuration: settings)
            let bare = RPCClient(transport, target: .topic(Self.topic))
            let client = bare.prepare { $0.versionPin = pin }
            let experience = Experience()

            var hosts = ["a": try await Host(url, "a", "3.0"), "b": try await Host(url, "b", "3.0")]
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await pin.run() }
                for _ in 0..<4 { group.addTask { await Self.use(client, experience) } }
                try await until(within: .seconds(10), "the pin knows the hosts") { pin.version == "3.0" }

                // A mixture of all three: the oldest decides, for the topic; a host is asked for what it has.
                hosts["c"] = try await Host(url, "c", "3.1")
                hosts["d"] = try await Host(url, "d", "3.2")
                try await until(within: .seconds(10), "\(pin.versions)") { pin.versions.count == 4 }
                #expect(pin.version == "3.0")
                #expect(try await client.on(host: "d").call(Method.third) == "third")
                // It is the pin that does it: who has none is refused by the old ones.
                let refusal = await #expect(throws: RPCError.self) { try await bare.on(host: "a").call(Method.third) }
                #expect(refusal?.code == .unsupportedVersion)
                let held = await #expect(throws: RPCError.self) { try await client.call(Method.third) }
                #expect(held?.code == .versionCapExceeded)

                // One after the other is replaced, under its name.
                for (name, version) in [("a", "3.1"), ("b", "3.2")] as [(String, RPCVersion)] {
                    try await hosts[name]?.stop()
                    hosts[name] = try await Host(url, name, version)
                }
                let toSecond = try await until(within: .seconds(10), "\(pin.versions)") { pin.version == "3.1" }
                FaultFigures.record(fault: 49, "pin risen after the last N-1 has gone", toSecond)
                for name in ["a", "c"] {
                    try await hosts[name]?.stop()
                    hosts[name] = try await Host(url, name, "3.2")
                }
                let toThird = try await until(within: .seconds(10), "\(pin.versions)") { pin.version == "3.2" }
                FaultFigures.record(fault: 49, "pin risen after the last N has gone", toThird)
                let count = experience.answers.count
                try await until(within: .seconds(10), "the newest method is used") {
                    experience.answers.dropFirst(count).count { $0 == "third" } > 20
                }

                // An old one that comes back is no surprise either, before the pin has asked.
                hosts["e"] = try await Host(url, "e", "3.0")
                try await until(within: .seconds(10), "\(pin.versions)") { pin.version == "3.0" }
                let before = experience.answers.count
                try await until(within: .seconds(10), "the oldest method is used") {
                    experience.answers.dropFirst(before).count { $0 == "first" } > 20
                }
                group.cancelAll()
            }
            #expect(experience.errors == [])
            #expect(Set(experience.answers) == ["first", "second", "third"])
            for host in hosts.values { try await host.stop() }
            await transport.close()
        }
    }
}
