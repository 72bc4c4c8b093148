import AMQPClient
import FaultHarness
import Foundation
import MessagingRabbitMQ
import TestSupport
import Testing

/// Several brokers, of which some are away: which one is used, and when another.
@Suite(.serialized, .timeLimit(.minutes(3))) struct HostListTests {
    /// Three ways to one broker, each of which can be broken; their URL, and which of them is used.
    private func withHosts(
        _ body: (_ url: String, _ proxies: [FaultProxy]) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            try await FaultProxy.with(to: broker.host, port: broker.port) { first in
                try await FaultProxy.with(to: broker.host, port: broker.port) { second in
                    try await FaultProxy.with(to: broker.host, port: broker.port) { third in
                        let proxies = [first, second, third]
                        let hosts = proxies.map { "\(broker.user):\(broker.password)@127.0.0.1:\($0.port)" }
                        try await body("rabbit://\(hosts.joined(separator: ","))/\(name)", proxies)
                    }
                }
            }
        }
    }

    /// How many connections there are to each host.
    private func use(of proxies: [FaultProxy]) -> [Int] { proxies.map(\.connections) }

    @Test func `fault 12: hosts that are dead, refuse or swallow everything cost little, once, and are left alone`()
        async throws
    {
        try await self.withHosts { url, proxies in
            proxies[0].admit(.reset)
            proxies[1].admit(.blackHole)
            let started = ContinuousClock.now
            try await FaultService.with(url) { service in
                FaultFigures.record(fault: 12, "serving past a dead and a silent host", .now - started)
                // Two seconds for the silent one; the transport's other connections know it by then.
                #expect(.now - started < .seconds(4))
                let before = ContinuousClock.now
                try await service.untilAnswered(within: .seconds(5))
                // The client is another transport, and finds out for itself.
                #expect(.now - before < .seconds(5))
                #expect(self.use(of: proxies)[2] >= 5, "\(self.use(of: proxies))")

                // Both are back, and nobody goes to them while the third one serves.
                proxies[0].heal()
                proxies[1].heal()
                let earlier = proxies[0].accepted + proxies[1].accepted
                for _ in 0..<20 { #expect(await service.call() == nil) }
                #expect(proxies[0].accepted + proxies[1].accepted == earlier)

                // A connection that is cut is made again where it was.
                proxies[2].cut()
                try await service.untilAnswered(within: .seconds(5))
                try await service.untilReady(within: .seconds(5))
                #expect(proxies[0].accepted + proxies[1].accepted == earlier)

                // Its own host fails: now it goes to another one.
                proxies[2].admit(.reset)
                proxies[2].cut()
                let moved = try await service.untilAnswered(within: .seconds(5))
                FaultFigures.record(fault: 12, "answering from another host", moved)
                try await service.untilReady(within: .seconds(5))
                #expect(proxies[0].connections + proxies[1].connections >= 5, "\(self.use(of: proxies))")
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }

    @Test func `fault 12: a host whose name means nothing costs little, and the next one is used`() async throws {
        try await self.withHosts { url, proxies in
            let (scheme, rest) = ("rabbit://", url.dropFirst("rabbit://".count))
            let named = "\(scheme)guest:guest@no-such-host.invalid:5672,\(rest)"
            let started = ContinuousClock.now
            try await FaultService.with(named, configure: { $0.connection.hostOrder = .asGiven }) { service in
                // A resolver that knows nothing may take its time: as long as a host that says nothing.
                #expect(.now - started < .seconds(4))
                FaultFigures.record(fault: 12, "serving past a name that means nothing", .now - started)
                try await service.untilAnswered(within: .seconds(5))
                #expect(self.use(of: proxies) == [5, 0, 0])
                try await service.untilSettled()
                #expect(service.checker.violations == [])
            }
        }
    }

    @Test func `fault 12: a host that goes silent is left for one that speaks, and not asked again first`() async throws
    {
        try await self.withHosts { url, proxies in
            // Shuffled by default, so that services spread over a cluster.
            try await FaultService.with(url, configure: { $0.connection.hostOrder = .asGiven }) { service in
                try await service.untilAnswered(within: .seconds(5))
                #expect(self.use(of: proxies) == [5, 0, 0])
                proxies[0].change { $0.isSwallowed = true }
                let silent = ContinuousClock.now
                try await service.untilReady(false, within: .milliseconds(4_250))
                let away = ContinuousClock.now
                try await service.untilReady(within: .seconds(5))
                FaultFigures.record(fault: 12, "ready at another host after silence was noticed", .now - away)
                FaultFigures.record(fault: 12, "ready at another host after silence began", .now - silent)
                try await service.untilAnswered(within: .seconds(5))
                // Nobody waits for it a second time.
                #expect(.now - away < .seconds(3))
            }
        }
    }
}
