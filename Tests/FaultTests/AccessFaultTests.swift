import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing

/// What the broker allows no more while a service runs, and allows again.
@Suite(.serialized, .timeLimit(.minutes(3))) struct AccessFaultTests {
    /// A user of one test, with rights in one virtual host.
    private struct User: Sendable {
        let broker: TestBroker
        let virtualHost: String
        let name = "user-\(UUID().uuidString.lowercased())"

        func setPassword(_ password: String) async throws {
            try await self.broker.request(
                "PUT",
                "users/\(self.name)",
                body: #"{"password": "\#(password)", "tags": ""}"#
            )
        }

        func allow(_ pattern: String) async throws {
            let body = #"{"configure": "\#(pattern)", "write": "\#(pattern)", "read": "\#(pattern)"}"#
            try await self.broker.request("PUT", "permissions/\(self.virtualHost)/\(self.name)", body: body)
        }

        func delete() async throws {
            try await self.broker.request("DELETE", "users/\(self.name)", missingIsFine: true)
        }
    }

    /// Lends a service that logs in as a user of its own, through a proxy that counts its attempts.
    private func withUser(_ body: (FaultService, User, FaultProxy) async throws -> Void) async throws {
        let broker = try TestBroker()
        let name = try await broker.makeVirtualHost()
        let user = User(broker: broker, virtualHost: name)
        try await user.setPassword("right")
        try await user.allow(".*")
        do {
            try await FaultProxy.with(to: broker.host, port: broker.port) { proxy in
                let url = "rabbit://\(user.name):right@127.0.0.1:\(proxy.port)/\(name)"
                try await FaultService.with(url) { service in
                    try await service.untilAnswered(within: .seconds(10))
                    try await body(service, user, proxy)
                }
            }
        } catch {
            try await user.delete()
            try await broker.request("DELETE", "vhosts/\(name)", missingIsFine: true)
            throw error
        }
        try await user.delete()
        try await broker.request("DELETE", "vhosts/\(name)", missingIsFine: true)
    }

    /// Takes something away, and gives it back: what is to be seen in between, and afterwards.
    private func expectRefusal(
        _ what: String,
        _ reason: String,
        of service: FaultService,
        through proxy: FaultProxy,
        _ take: () async throws -> Void,
        giveBack: () async throws -> Void
    ) async throws {
        try await take()
        let taken = ContinuousClock.now
        try await service.until(within: .seconds(10), "\(reason) in \(service.server.readiness)") {
            !service.server.readiness.isReady && "\(service.server.readiness)".contains(reason)
        }
        FaultFigures.record(fault: 13, "not ready with the reason: \(what)", .now - taken)
        let attempts = proxy.accepted
        let watched = ContinuousClock.now
        let error = await service.call(timeout: .seconds(1))
        #expect([.timeout, .unreachable, .rejected, .connectionLost].contains(error?.rpcCode), "\(error as Any)")
        try await Task.sleep(for: .seconds(4) - (.now - watched))
        // Five connections, with pauses that grow from 0.2 s to 3 s.
        #expect(proxy.accepted - attempts < 40, "\(what): \(proxy.accepted - attempts) attempts")
        #expect("\(service.server.readiness)".contains(reason), "\(service.server.readiness)")

        try await giveBack()
        let again = try await service.untilReady(within: .seconds(5))
        let answered = try await service.untilAnswered(within: .seconds(15))
        FaultFigures.record(fault: 13, "answering after it was allowed again: \(what)", again + answered)
        try await service.untilSettled()
        #expect(service.checker.violations == [])
    }

    private struct Listed: Decodable { let name: String }

    /// Ends all connections, once the management knows them.
    private func cut(_ user: User) async throws {
        for _ in 0..<600 {
            // Not closed one by one as it learns of them: those would come back meanwhile.
            let answer = try await user.broker.request("GET", "vhosts/\(user.virtualHost)/connections")
            if try JSONDecoder().decode([Listed].self, from: answer).count >= 5 {
                try await user.broker.closeConnections(virtualHost: user.virtualHost)
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw TestBroker.Unavailable(description: "the management knows fewer than five connections")
    }

    @Test func `fault 13: a password that is not right any more is the reason, and no tight loop, until it is again`()
        async throws
    {
        try await self.withUser { service, user, proxy in
            try await self.expectRefusal("password", "ACCESS_REFUSED", of: service, through: proxy) {
                try await user.setPassword("another")
                try await self.cut(user)
            } giveBack: {
                try await user.setPassword("right")
            }
        }
    }

    @Test func `fault 13: a permission that is revoked at run time is the reason until it is granted again`()
        async throws
    {
        try await self.withUser { service, user, proxy in
            try await self.expectRefusal("permission", "403", of: service, through: proxy) {
                try await user.allow("^$")
                try await self.cut(user)
            } giveBack: {
                try await user.allow(".*")
            }
        }
    }

    @Test func `fault 13: a virtual host that is gone is the reason until it is there again`() async throws {
        try await self.withUser { service, user, proxy in
            try await self.expectRefusal("virtual host", "530", of: service, through: proxy) {
                try await user.broker.deleteVirtualHost(user.virtualHost)
            } giveBack: {
                try await user.broker.request("PUT", "vhosts/\(user.virtualHost)")
                try await user.allow(".*")
            }
        }
    }

    @Test func `fault 13: a queue that may be declared and not consumed is not declared anew for ever`() async throws {
        let declared = Collector<String>()
        let consumed = Collector<Int>()
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve(answers: { channel, id, arguments in
                if id == 0x0032_000A {
                    let name = String(decoding: arguments[3...].prefix(Int(arguments[2])), as: UTF8.self)
                    if number > 1 { declared.add(name) }
                }
                guard id == 0x003C_0014 else { return true }
                consumed.add(number)
                switch consumed.all.count {
                case 1...2:
                    let text = "ACCESS_REFUSED - read access refused"
                    let reply = Wire.short(403) + Wire.shortString(text) + Wire.short(60) + Wire.short(20)
                    try peer.send(Wire.method(channel, 20, 40, reply))
                    return false
                case 3:
                    // The third attempt succeeds, and the connection is lost.
                    try peer.answer(channel, id, arguments)
                    throw FakeBroker.Gone()
                default: return true
                }
            })
        } _: { _, url in
            let transport = RabbitMQTransport(try FaultService.configuration("rabbit" + url.dropFirst("amqp".count)))
            for _ in 1...2 {
                await #expect(throws: RPCError.self) {
                    _ = try await transport.openReplyQueue(deadline: .now + .seconds(10))
                }
            }
            let queue = try await transport.openReplyQueue(deadline: .now + .seconds(10))
            try await consumed.wait(for: 4, .seconds(20))
            // Asked for by name before it is consumed.
            #expect(Set(declared.all) == [queue], "\(declared.all)")
            await transport.close()
        }
    }

    @Test func `fault 13: at the start, what the broker refuses is a typed error at once`() async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let address = "127.0.0.1:\(broker.port)"
            for (url, reason) in [
                ("rabbit://\(broker.user):wrong-secret@\(address)/\(name)", "credentials"),
                ("rabbit://\(broker.user):\(broker.password)@\(address)/no-such-virtual-host", "530"),
            ] {
                let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
                let server = RPCServer(transport, target: .topic("refused", server: "host"), endpoints: [])
                let started = ContinuousClock.now
                let error = await #expect(throws: RPCError.self) { try await server.run() }
                #expect(error?.code == .unreachable && "\(error as Any)".contains(reason), "\(error as Any)")
                #expect(.now - started < .seconds(5))
                #expect(!server.readiness.isReady)
                #expect(!"\(error as Any) \(server.readiness)".contains("wrong-secret"))
                await transport.close()
            }
        }
    }
}
