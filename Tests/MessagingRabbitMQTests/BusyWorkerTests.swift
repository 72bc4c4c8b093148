import Foundation
import Logging
import MessagingRabbitMQ
import MessagingTesting
import Synchronization
import TestSupport
import Testing

@testable import Messaging

/// A worker answers questions about itself whatever its handlers do.
@Suite(.timeLimit(.minutes(3))) struct BusyWorkerTests {
    @Test func `ping and stats are answered at once while every handler slot waits for something`() async throws {
        try await TestBroker().withURL { url in
            let gate = EventRecorder<Void>()
            let worker = BusyWorker(url: url, slots: 4) {
                try await gate.first(1, within: .seconds(60))
            } release: {
                gate.record(())
            }
            let times = try await worker.measure(whileRunning: 4)
            print("all slots waiting: \(times)")
            #expect(times.median < .milliseconds(100))
            #expect(times.slowest < .seconds(1))
        }
    }

    @Test func `ping and stats are answered while handlers hold every thread of the pool with computing`() async throws
    {
        try await TestBroker().withURL { url in
            // In a process of its own, because the other tests of this one need the pool.
            let result = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
                [url = url as String] in
                let isOver = Atomic(false)
                let limit = ContinuousClock.now + .seconds(20)
                // More than there are threads, so that none is left; and the slots are more than those.
                let threads = ProcessInfo.processInfo.activeProcessorCount
                let worker = BusyWorker(url: url, slots: threads + 4) {
                    while !isOver.load(ordering: .relaxed), ContinuousClock.now < limit {}
                } release: {
                    isOver.store(true, ordering: .relaxed)
                }
                let times = try await worker.measure(whileRunning: threads)
                print("all threads computing: \(times)")
                #expect(times.median < .milliseconds(100))
                #expect(times.slowest < .seconds(1))
                #expect(ContinuousClock.now < limit, "the handlers were through before the measurement was")
            }
            if let output = result?.standardOutputContent { print(String(decoding: output, as: UTF8.self)) }
        }
    }
}

extension TestBroker {
    fileprivate func withURL(_ body: (String) async throws -> Void) async throws {
        try await self.withVirtualHost { virtualHost in
            try await body(self.url(virtualHost: virtualHost, scheme: "rabbit"))
        }
    }
}

/// A worker whose handlers all do the same, and somebody who asks it from a thread of his own.
private struct BusyWorker: Sendable {
    struct Times: Sendable, CustomStringConvertible {
        var pings: [Duration] = []
        var stats: [Duration] = []

        /// What is promised; the slowest may meet a machine that is busy with something else.
        var median: Duration {
            let sorted = (self.pings + self.stats).sorted()
            return sorted.isEmpty ? .seconds(3600) : sorted[sorted.count / 2]
        }

        var slowest: Duration { (self.pings + self.stats).max() ?? .seconds(3600) }

        var description: String {
            [("ping", self.pings), ("stats", self.stats)].map { name, times in
                let sorted = times.sorted().map { ($0 / .milliseconds(1) * 10).rounded() / 10 }
                return "\(name) median \(sorted[sorted.count / 2]) ms, slowest \(sorted[sorted.count - 1]) ms"
            }.joined(separator: "; ")
        }
    }

    let url: String
    let slots: Int
    /// What each handler does, until it is released.
    let work: @Sendable () async throws -> Void
    let release: @Sendable () -> Void

    /// Fills all slots and asks, while at least so many handlers run.
    func measure(whileRunning count: Int) async throws -> Times {
        let started = EventRecorder<Void>()
        let endpoint = RPCEndpoint {
            RPCHandler("work") { _, _ in
                started.record(())
                try await self.work()
                return .null
            }
        }
        var configuration = RPCServer.Configuration()
        configuration.concurrency = self.slots
        configuration.gracePeriod = .milliseconds(100)
        let target = Target.topic("busy", server: "h")
        let served = RabbitMQTransport(try RabbitMQConfiguration(url: self.url))
        let server = RPCServer(served, target: target, endpoints: [endpoint], configuration: configuration)
        let executor = ThreadExecutor(name: "test-caller")
        let ready = Eventual<Void>()
        // Tasks of their own: who asks must not run where the handlers do, nor they where he does.
        let serving = Task { try await server.run { ready.fulfil() } }
        let asking = Task(executorPreference: executor) {
            defer { self.release() }
            await ready.wait()
            let transport = RabbitMQTransport(try RabbitMQConfiguration(url: self.url))
            let client = RPCClient(transport, target: target)
            let control = RPCClient(transport, target: target.control).prepare { $0.timeout = .seconds(20) }
            _ = try await control.call(ControlRPC.ping)
            for _ in 1...self.slots + 4 { try await client.cast("work") }
            try await started.first(count)
            var times = Times()
            for _ in 1...20 {
                var start = ContinuousClock.now
                let ping = try await control.call(ControlRPC.ping)
                times.pings.append(ContinuousClock.now - start)
                #expect(ping.state == .accepting)
                start = .now
                let stats = try await control.call(ControlRPC.stats)
                times.stats.append(ContinuousClock.now - start)
                #expect(try #require(stats.methods.first).inFlight >= count)
            }
            self.release()
            await transport.close()
            return times
        }
        let result = await executor.use { await asking.result }
        server.stop()
        serving.cancel()
        _ = await serving.result
        await served.close()
        return try result.get()
    }
}
