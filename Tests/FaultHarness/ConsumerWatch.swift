import AMQPClient
import Logging
import Messaging
import MessagingRabbitMQ
import Synchronization

/// Compares the consumers on the broker with those that services say they have, without a pause while a test breaks things.
///
/// The broker is asked by passive declarations, on a connection past any proxy: they are answered at once and from the queues
/// themselves, where the management API answers what it gathered some seconds ago.
package final class ConsumerWatch: Sendable {
    /// Who says that it consumes.
    package struct Holder: Sendable {
        /// How many consumers it has of each queue while all is well.
        let wanted: [String: Int]
        /// How many it has by its own account.
        let held: @Sendable () async -> [String: Int]
        let isReady: @Sendable () -> Bool

        /// A holder by its own account.
        ///
        /// - Parameters:
        ///   - wanted: What it has while all is well, if that is not what it has now.
        ///   - isReady: What it says of itself.
        ///   - held: What it has.
        package init(
            wanted: [String: Int]? = nil,
            isReady: @escaping @Sendable () -> Bool,
            held: @escaping @Sendable () async -> [String: Int]
        ) async {
            if let wanted { self.wanted = wanted } else { self.wanted = await held() }
            self.held = held
            self.isReady = isReady
        }
    }

    private struct State {
        var limit = Duration.seconds(1)
        /// Since when queues have lacked consumers while their holders said that they were ready.
        var suspects: [String: ContinuousClock.Instant] = [:]
        var violations: [String] = []
        var channel: AMQPChannel?
        var samples = 0
        var sightings = 0
        var dips = 0
    }

    private let holders: [Holder]
    private let wanted: [String: Int]
    private let connection: AMQPConnection
    private let state = Mutex(State())

    private init(_ url: String, _ holders: [Holder]) throws {
        self.holders = holders
        self.wanted = holders.reduce(into: [:]) { $0.merge($1.wanted, uniquingKeysWith: +) }
        var configuration = try AMQPConfiguration(url: url)
        configuration.heartbeat = .seconds(2)
        // It has to be there before those whom it watches.
        configuration.backoff.maximum = .milliseconds(50)
        var logger = Logger(label: "watch")
        logger.logLevel = .critical
        self.connection = AMQPConnection(configuration, logger: logger)
    }

    /// Watches services that are ready, as long as the body runs.
    ///
    /// - Parameters:
    ///   - services: Whose servers and callers consume.
    ///   - url: The broker itself.
    ///   - body: What is done meanwhile.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws, or why the broker cannot be watched.
    package static func with<Value: Sendable>(
        _ services: [FaultService],
        at url: String,
        _ body: (ConsumerWatch) async throws -> Value
    ) async throws -> Value {
        var holders: [Holder] = []
        for service in services {
            holders.append(
                await Holder(isReady: { service.server.readiness.isReady }) {
                    await service.serverTransport.consumersByQueue()
                }
            )
            // There is nothing to hold before the first call.
            _ = try await service.untilAnswered()
            holders.append(
                await Holder(isReady: { service.clientTransport.readiness.isReady }) {
                    await service.clientTransport.consumersByQueue()
                }
            )
        }
        let watch = try ConsumerWatch(url, holders)
        for (index, service) in services.enumerated() {
            service.serverTransport.onReadinessChange { if !$0.isReady { watch.dipped(2 * index) } }
            service.clientTransport.onReadinessChange { if !$0.isReady { watch.dipped(2 * index + 1) } }
        }
        return try await watch.run(body)
    }

    /// Watches whoever says that it consumes.
    package static func with<Value: Sendable>(
        _ holders: [Holder],
        at url: String,
        _ body: (ConsumerWatch) async throws -> Value
    ) async throws -> Value {
        try await ConsumerWatch(url, holders).run(body)
    }

    private func run<Value: Sendable>(_ body: (ConsumerWatch) async throws -> Value) async throws -> Value {
        try await self.connection.open()
        let channel = try await self.connection.openChannel()
        self.state.withLock { $0.channel = channel }
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await self.sampleWithoutEnd(channel) }
                    defer { group.cancelAll() }
                    return try await body(self)
                }
            )
        } catch {
            outcome = .failure(error)
        }
        await self.connection.close()
        return try outcome.get()
    }

    // MARK: What is asked

    /// How long consumers may be missing before readiness says so: nothing but a moment, unless the loss is a silent one.
    package var limit: Duration {
        get { self.state.withLock(\.limit) }
        set { self.state.withLock { $0.limit = newValue } }
    }

    /// Consumers that were missing while readiness said nothing of it.
    package var violations: [String] { self.state.withLock(\.violations) }
    /// How often the broker was asked, and how often of these consumers were missing, as readiness said.
    package var figures: (samples: Int, sightings: Int) { self.state.withLock { ($0.samples, $0.sightings) } }

    /// Waits until broker and services have the same consumers, and all of them.
    ///
    /// - Parameters:
    ///   - limit: How long at most.
    ///   - others: What others consume of the broker's queues.
    /// - Returns: How long it took.
    /// - Throws: `TooLate`, which says what differs.
    @discardableResult
    package func untilAgreed(within limit: Duration, others: [String: Int] = [:]) async throws -> Duration {
        let start = ContinuousClock.now
        while true {
            let difference = try await self.difference(others)
            if difference.isEmpty { return .now - start }
            guard .now - start < limit else {
                throw FaultService.TooLate(
                    description: "consumers, after \(limit): \(difference.joined(separator: "; "))"
                )
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func difference(_ others: [String: Int]) async throws -> [String] {
        var difference: [String] = []
        for (number, holder) in self.holders.enumerated() {
            let held = await holder.held()
            if held != holder.wanted { difference.append("\(number) has \(held) instead of \(holder.wanted)") }
        }
        for (queue, wanted) in self.wanted.merging(others, uniquingKeysWith: +) {
            var count: Int?
            if let channel = self.state.withLock(\.channel) { count = await self.count(of: queue, channel) }
            if count != wanted { difference.append("the broker has \(count ?? -1) of '\(queue)' instead of \(wanted)") }
        }
        return difference
    }

    // MARK: Sampling

    private func dipped(_ number: Int) {
        self.state.withLock { state in
            state.dips += 1
            for queue in self.holders[number].wanted.keys { state.suspects[queue] = nil }
        }
    }

    /// How many consumers a queue has, none where there is no queue; `nil` where the broker does not say.
    private func count(of queue: String, _ channel: AMQPChannel) async -> Int? {
        do throws(AMQPError) {
            return try await channel.declareQueuePassively(queue).consumerCount
        } catch {
            return error.code == .notFound ? 0 : nil
        }
    }

    private func sampleWithoutEnd(_ channel: AMQPChannel) async {
        while !Task.isCancelled {
            for queue in self.wanted.keys {
                await self.sample(queue, channel)
            }
            // Cancelled: then it ends by the loop's condition.
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func sample(_ queue: String, _ channel: AMQPChannel) async {
        let holders = self.holders.filter { $0.wanted[queue] != nil }
        let start = ContinuousClock.now
        let dips = self.state.withLock(\.dips)
        let wasReady = holders.allSatisfy { $0.isReady() }
        guard let count = await self.count(of: queue, channel), let wanted = self.wanted[queue] else { return }
        let isReady = wasReady && holders.allSatisfy { $0.isReady() }
        self.state.withLock { state in
            state.samples += 1
            guard count < wanted else {
                state.suspects[queue] = nil
                return
            }
            // One that has dipped meanwhile has said it, however short it was.
            guard isReady, state.dips == dips else {
                state.sightings += 1
                state.suspects[queue] = nil
                return
            }
            let since = state.suspects[queue] ?? .now
            state.suspects[queue] = since
            guard start - since > state.limit else { return }
            state.violations.append(
                "'\(queue)' had \(count) of \(wanted) consumers for \(start - since), and all said that they were ready"
            )
            state.suspects[queue] = nil
        }
    }
}
