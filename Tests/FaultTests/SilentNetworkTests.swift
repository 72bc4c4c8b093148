import FaultHarness
import Foundation
import Glibc
import Messaging
import TestSupport
import Testing

/// A network or a broker that says nothing: connections that are there, and carry nothing.
@Suite(.serialized, .timeLimit(.minutes(4))) struct SilentNetworkTests {
    private static let heartbeat = Duration.seconds(2)
    /// Until when a fault must be noticed; the rest is for the thread that looks.
    private static let promise = heartbeat * 2 + .milliseconds(250)
    private static let ready = Duration.seconds(5)

    /// Lends a service whose worker reaches the broker through a proxy.
    private func withWorker(_ body: (FaultService, FaultProxy) async throws -> Void) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await FaultProxy.with(before: url) { proxy, damaged in
                try await FaultService.with(damaged, clientURL: url) { service in
                    try await service.untilAnswered()
                    try await body(service, proxy)
                }
            }
        }
    }

    /// How long the server goes on saying that it is ready; looked at by a thread of its own, as handlers may hold the pool.
    private static func untilUnready(_ server: RPCServer, within limit: Duration) async -> Duration {
        await withCheckedContinuation { continuation in
            let started = ContinuousClock.now
            PosixThread.detach {
                while server.readiness.isReady, .now - started < limit { usleep(2_000) }
                continuation.resume(returning: .now - started)
            }
        }
    }

    private func expectNoticed(
        fault: Int,
        _ what: String,
        at service: FaultService,
        _ proxy: FaultProxy,
        isBusy: Bool = false,
        _ change: (inout FaultProxy.Flow) -> Void,
        in direction: FaultProxy.Direction? = nil
    ) async throws {
        async let traffic: Void = service.trafficFor(.seconds(7))
        // Ends by itself, when the fault should have been noticed.
        try await withThrowingTaskGroup(of: Void.self) { group in
            if isBusy {
                let end = ContinuousClock.now + .seconds(5)
                for _ in 0..<(2 * ProcessInfo.processInfo.activeProcessorCount) {
                    group.addTask {
                        while .now < end {}
                    }
                }
            }
            proxy.change(direction, change)
            let noticed = await Self.untilUnready(service.server, within: .seconds(20))
            FaultFigures.record(fault: fault, "noticed: \(what)", noticed)
            #expect(noticed <= Self.promise, "\(what)")
            try await group.waitForAll()
        }
        await traffic
        proxy.heal()
        let again = try await service.untilReady(within: Self.ready)
        FaultFigures.record(fault: fault, "ready after it: \(what)", again)
        try await service.untilAnswered(within: Self.ready)
        try await service.untilSettled()
        #expect(service.checker.violations == [])
    }

    @Test func `fault 6: a peer that vanishes is noticed within two heartbeats, with busy handlers as well`()
        async throws
    {
        try await self.withWorker { service, proxy in
            for isBusy in [false, true] {
                let what = isBusy ? "vanished, handlers busy" : "vanished"
                try await self.expectNoticed(
                    fault: 6,
                    what,
                    at: service,
                    proxy,
                    isBusy: isBusy,
                    { $0.isSwallowed = true }
                )
            }
        }
    }

    @Test func `fault 6: a worker whose peer has vanished stops in bounded time`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultProxy.with(before: broker.url(virtualHost: name)) { proxy, url in
                var started = ContinuousClock.now
                try await FaultService.with(url) { service in
                    try await service.untilAnswered()
                    proxy.change { $0.isSwallowed = true }
                    started = .now
                }
                FaultFigures.record(fault: 6, "stopped with a vanished peer", .now - started)
                // Consumers, channels and connections each have their limit, and none is waited for twice.
                #expect(.now - started < .seconds(20))
            }
        }
    }

    @Test(arguments: FaultProxy.Direction.allCases)
    func `fault 7: a network that loses one direction is noticed within two heartbeats`(
        _ direction: FaultProxy.Direction
    ) async throws {
        try await self.withWorker { service, proxy in
            try await self.expectNoticed(
                fault: 7,
                direction == .toBroker ? "nothing to the broker" : "nothing from the broker",
                at: service,
                proxy,
                { $0.isSwallowed = true },
                in: direction
            )
        }
    }

    @Test func `fault 7: a peer that reads nothing any more is noticed as well`() async throws {
        try await self.withWorker { service, proxy in
            try await self.expectNoticed(
                fault: 7,
                "nothing is read",
                at: service,
                proxy,
                { $0.isStalled = true },
                in: .toBroker
            )
        }
    }
}

extension FaultService {
    /// Sends for a while.
    func trafficFor(_ time: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.traffic(pause: .milliseconds(50)) }
            // It ends early only with the test.
            try? await Task.sleep(for: time)
            group.cancelAll()
        }
    }
}
