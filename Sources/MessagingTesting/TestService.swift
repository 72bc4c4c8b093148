public import Messaging

/// All that the test of a service needs in place of a broker: a broker within the process whose time stands still, the
/// service's transport with what goes wrong on it, and the record of what was sent over it.
///
/// ``withTestService(topic:host:configuration:endpoints:_:)`` makes one and serves endpoints on it. A service that is more
/// than endpoints, such as a `ManagerService`, is given its ``transport`` and ``clock``.
public struct TestService: Sendable {
    /// The topic of the service.
    public let topic: String
    /// The host under which it is addressed.
    public let host: String
    /// The time of everything on the broker.
    public let clock: VirtualClock
    /// The broker, for what a broker does to its clients: deleted queues, an alarm, deliveries that fail.
    public let broker: InMemoryBroker
    /// The service's connection to the broker, for what happens to one: a break, the death of its process.
    public let connection: InMemoryTransport
    /// What goes wrong with what the service sends.
    public let faults: FaultyTransport
    /// The service's transport: the connection, with the faults, recorded.
    public let transport: any Transport
    /// What the service sent: requests to others, and replies.
    public let sent: MessageRecorder
    /// What the service ran.
    public let executed = EventRecorder<Execution>()

    /// Creates a broker and a transport for a service; nothing runs yet.
    ///
    /// - Parameters:
    ///   - topic: The topic of the service.
    ///   - host: The host under which it is addressed; `test-host` by default.
    ///   - seed: What determines faults that have a probability.
    public init(topic: String, host: String = "test-host", seed: UInt64 = 0) {
        self.topic = topic
        self.host = host
        self.clock = VirtualClock()
        self.broker = InMemoryBroker(clock: self.clock)
        self.connection = InMemoryTransport(self.broker)
        self.faults = FaultyTransport(self.connection, seed: seed)
        let recording = RecordingTransport(self.faults)
        self.transport = recording
        self.sent = recording.sent
    }

    /// A client of the service in another process: over a transport of its own.
    public var client: RPCClient { RPCClient(self.peer(), target: .topic(self.topic)) }

    /// The transport of another process on the same broker, for clients, and for servers that stand in for the services
    /// which this one calls.
    ///
    /// - Parameter user: The name under which the broker knows it; `guest` by default.
    /// - Returns: A new transport, without faults and unrecorded.
    public func peer(user: String = "guest") -> InMemoryTransport {
        InMemoryTransport(self.broker, user: user)
    }
}

/// Serves endpoints on a broker within the process for the time of `body`, in virtual time.
///
/// The clock stands still unless `body` moves it, or lets time pass with ``VirtualClock/passing(_:)``. When `body` has
/// ended, the server is stopped gracefully, for which time passes by itself.
///
/// ```swift
/// try await withTestService(topic: "volume", endpoints: { [VolumeManager($0.transport).endpoint] }) { service in
///     let size = try await service.client.call(VolumeRPC.size, id)
///     #expect(service.sent.requests.map(\.method) == ["volume_used"])
/// }
/// ```
///
/// - Parameters:
///   - topic: The topic of the service.
///   - host: The host under which it is addressed; `test-host` by default.
///   - configuration: How the server works.
///   - endpoints: Makes what is served, which may use the service's transport to call others.
///   - body: The test.
/// - Returns: What `body` returns.
/// - Throws: What `endpoints` or `body` throws, or `RPCError` where the server cannot start.
@discardableResult
public func withTestService<Value: Sendable>(
    topic: String,
    host: String = "test-host",
    configuration: RPCServer.Configuration = RPCServer.Configuration(),
    endpoints: (TestService) throws -> [RPCEndpoint],
    _ body: @Sendable (TestService) async throws -> Value
) async throws -> Value {
    let service = TestService(topic: topic, host: host)
    let served = try endpoints(service).map { $0.observed(by: service.executed) }
    return try await service.clock.run {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let isOver = Eventual<Void>()
            group.addTask {
                await isOver.wait()
                while true { try await service.clock.advanceToNextSleeper() }
            }
            defer { group.cancelAll() }
            return try await withRPCServer(
                on: service.transport,
                target: .topic(topic, server: host),
                endpoints: served,
                configuration: configuration
            ) { _ in
                defer { isOver.fulfil() }
                return try await body(service)
            }
        }
    }
}
