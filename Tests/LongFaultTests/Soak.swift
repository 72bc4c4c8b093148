import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

/// A broker, a proxy before it, two hosts of one topic and their callers in this process, and two of another one in processes of
/// their own: whatever befalls one, work may go to the other.
final class Soak: Sendable {
    let node: PrivateNode
    let proxy: FaultProxy
    /// The hosts in this process; they have one checker.
    let services: [FaultService]
    let watch: ConsumerWatch
    let broker: TestBroker
    let workers: SoakWorkers
    private let random: Mutex<SplitMix64>

    private init(
        _ node: PrivateNode,
        _ proxy: FaultProxy,
        _ services: [FaultService],
        _ watch: ConsumerWatch,
        _ workers: SoakWorkers,
        seed: UInt64
    ) throws {
        self.node = node
        self.proxy = proxy
        self.services = services
        self.watch = watch
        self.broker = try TestBroker(environment: node.environment)
        self.workers = workers
        self.random = Mutex(SplitMix64(state: seed))
    }

    static func with(seed: UInt64, _ body: (Soak) async throws -> Void) async throws {
        try await withFaultDirectory { directory in
            try await PrivateNode.with(["--management"]) { node in
                let direct = try node.url
                try await FaultProxy.with(before: direct) { proxy, url in
                    try await SoakWorkers.with(in: directory, url: direct) { workers in
                        try await Self.withServices(at: url) { services in
                            try await ConsumerWatch.with(services, at: direct) { watch in
                                let soak = try Soak(node, proxy, services, watch, workers, seed: seed)
                                try await soak.underTraffic(body)
                            }
                        }
                    }
                }
            }
        }
    }

    private static func withServices(at url: String, _ body: ([FaultService]) async throws -> Void) async throws {
        try await FaultService.with(url, host: "first") { first in
            let topic = first.client.target.topic
            try await FaultService.with(url, host: "second", topic: topic, checker: first.checker) { second in
                try await body([first, second])
            }
        }
    }

    private func underTraffic(_ body: (Soak) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for service in self.services {
                group.addTask { await service.traffic(pause: .milliseconds(60)) }
                group.addTask { await service.traffic(pause: .milliseconds(60), by: service.anyHost) }
            }
            let client = self.services[0].clientTransport
            group.addTask { await self.workers.castWithoutEnd(over: client) }
            defer { group.cancelAll() }
            try await body(self)
        }
    }

    var checker: Checker { self.services[0].checker }
    var topic: String { self.services[0].client.target.topic }

    // MARK: Rounds

    /// What a fault cost.
    struct Round {
        let fault: Fault
        /// How long it took from its end until all hosts answered, and until they said that they were ready.
        let answering: Duration
        let ready: Duration
        /// How long it took from then on until the broker had their consumers, and no others.
        let agreed: Duration
    }

    /// Does one fault, and heals it.
    func round() async throws -> Round {
        let (fault, severity) = self.random.withLock { random in
            (Fault.allCases.randomElement(using: &random) ?? .cut, Double.random(in: 0...1, using: &random))
        }
        // A silent loss the broker and its clients notice at different times, each after two heartbeats.
        self.watch.limit = .seconds(1) + fault.detection
        try await self.inject(fault, severity)
        let healed = ContinuousClock.now
        // Above what is allowed: how much longer it took is worth knowing.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for service in self.services { group.addTask { try await service.untilAnswered(within: .seconds(60)) } }
            try await group.waitForAll()
        }
        let answering = ContinuousClock.now - healed
        for service in self.services { try await service.untilReady(within: .seconds(30)) }
        let ready = ContinuousClock.now - healed
        let agreed = try await self.watch.untilAgreed(within: .seconds(10), others: self.workers.consumers)
        try await Task.sleep(for: .seconds(1))
        // What was under way when it happened comes to its end before the next one.
        try await self.pausing {
            #expect(self.checker.violations == [], "after \(fault)")
            #expect(self.watch.violations == [], "after \(fault)")
            self.checker.forgetSettled()
        }
        return Round(fault: fault, answering: answering, ready: ready, agreed: agreed)
    }

    /// Does something while nothing is under way.
    func pausing(_ body: () async throws -> Void) async throws {
        defer { self.resume() }
        try await self.pause()
        try await body()
    }

    private func pause() async throws {
        self.workers.pause()
        for service in self.services { try await service.pause() }
        try await self.services[0].untilSettled(within: .seconds(60))
    }

    private func resume() {
        for service in self.services { service.resume() }
        self.workers.resume()
    }

    /// Waits until everything is executed.
    func finish() async throws {
        try await self.pause()
        let start = ContinuousClock.now
        while try !self.workers.violations().isEmpty, .now - start < .seconds(60) {
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Consumers that nobody has, by the broker's own list of all its queues.
    func strangers() async throws -> [String: Int] {
        let known = [self.topic, "reply_"] + self.workers.consumers.keys
        return try await self.broker.consumersByQueue(virtualHost: "/").filter { queue, count in
            count > 0 && !known.contains { queue.hasPrefix($0) }
        }
    }
}
