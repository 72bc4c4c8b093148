import Messaging
import MessagingTesting
import Testing

/// What a pin knows of the hosts, over a broker in memory.
@Suite(.timeLimit(.minutes(3))) struct VersionPinTests {
    private static let topic = "upgraded"
    private static let first = RPCMethod<Void, String>("first", since: "3.0")

    private let transport = InMemoryTransport(InMemoryBroker())

    private func pin(_ change: (inout VersionPin.Configuration) -> Void = { _ in }) -> VersionPin {
        var configuration = VersionPin.Configuration()
        configuration.patience = .milliseconds(100)
        change(&configuration)
        return VersionPin(self.transport, namespace: nil, major: 3, topic: Self.topic, configuration: configuration)
    }

    /// Runs servers that offer versions of the interface.
    private func withHosts(
        _ hosts: ArraySlice<(String, RPCVersion)>,
        _ body: @Sendable () async throws -> Void
    ) async throws {
        guard let (host, version) = hosts.first else { return try await body() }
        try await withRPCServer(
            on: self.transport,
            target: .topic(Self.topic, server: host),
            endpoints: [RPCEndpoint(version: version) { Self.first.handled { _ in host } }]
        ) { _ in
            try await self.withHosts(hosts.dropFirst(), body)
        }
    }

    @Test func `the oldest host decides, and questions of many tasks are one`() async throws {
        let pin = self.pin()
        try await self.withHosts([("a", "3.0"), ("b", "3.4")]) { () async throws in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { try await pin.refresh() } }
                try await group.waitForAll()
            }
            #expect(pin.version == "3.0")
            #expect(pin.versions == ["a": "3.0", "b": "3.4"])
        }
    }

    @Test func `a host that has gone is forgotten after two questions`() async throws {
        let pin = self.pin()
        try await self.withHosts([("b", "3.4")]) { () async throws in
            try await self.withHosts([("a", "3.0")]) { () async throws in try await pin.refresh() }
            #expect(pin.version == "3.0")
            try await pin.refresh()
            #expect(pin.version == "3.0", "it may only be busy")
            try await pin.refresh()
            #expect(pin.version == "3.4")
        }
    }

    @Test func `a host that is silent stays in the pin as long as somebody listens to questions there`() async throws {
        let pin = self.pin()
        try await self.withHosts([("b", "3.4")]) { () async throws in
            try await self.withHosts([("a", "3.0")]) { () async throws in try await pin.refresh() }
            // The host's queue for questions, with a consumer that answers none of them.
            let control = Target.topic(Self.topic, server: "a").control
            let mute = try await self.transport.listen(on: .server(control), prefetch: 10) { _ in }
            for _ in 0..<4 { try await pin.refresh() }
            #expect(pin.version == "3.0", "a host that hangs still has its old version")
            await mute.close()
            try await pin.refresh()
            #expect(pin.version == "3.4")
        }
    }
}
