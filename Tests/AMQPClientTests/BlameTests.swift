import FaultHarness
import Logging
import TestSupport
import Testing

@testable import AMQPClient

/// What becomes of messages when the broker closes their channel because of one of them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct BlameTests {
    @Test func `a message is not blamed for a virtual host or a user of its exchange's name`() {
        let connection = AMQPConnection(AMQPConfiguration(), logger: Logger(label: "test"))
        func request(_ exchange: String) -> PublishRequest {
            PublishRequest(
                AMQPMessage("x"),
                exchange: exchange,
                routingKey: "a",
                mandatory: true,
                channelID: 1,
                deadline: .now + .seconds(1),
                isPatient: false,
                on: connection
            )
        }
        let missing = CloseReply(
            code: 404,
            text: "NOT_FOUND - no exchange 'neutron' in vhost 'openstack'",
            methodID: MethodID.basicPublish
        )
        #expect(request("neutron").isBlamed(by: missing))
        #expect(!request("openstack").isBlamed(by: missing))
        let refused = CloseReply(
            code: 403,
            text: "ACCESS_REFUSED - access to exchange 'nova' in vhost '/' refused for user 'openstack'",
            methodID: MethodID.basicPublish
        )
        #expect(request("nova").isBlamed(by: refused))
        #expect(!request("openstack").isBlamed(by: refused))
    }

    // Fault 18.
    @Test(arguments: [
        (["a", "x", "a"], ["unknown", "failed", "confirmed"]),
        (["x", "a", "x", "a"], ["unknown", "unknown", "unknown", "confirmed"]),
        (["x", "x"], ["unknown", "unknown"]),
    ])
    func `a message failed for certain only if no other one can be meant`(exchanges: [String], ends: [String])
        async throws
    {
        let sent = Collector<String>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn()
            try peer.serve(answers: { channel, id, arguments in
                // The first ones are not confirmed, those that come again are.
                guard id == 0x003C_0028, sent.all.count < exchanges.count else { return true }
                sent.add(String(decoding: arguments[3..<(3 + Int(arguments[2]))], as: UTF8.self))
                if sent.all.count == exchanges.count {
                    let reply = Wire.short(404) + Wire.shortString("NOT_FOUND - no exchange 'x' in vhost '/'")
                    try peer.send(Wire.method(channel, 20, 40, reply + Wire.long(MethodID.basicPublish)))
                }
                return false
            })
        } _: { _, url in
            try await withImpatientConnection(url) { connection in
                let channel = try await connection.openChannel()
                try await channel.confirmPublishes()
                let outcomes = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                    for (number, exchange) in exchanges.enumerated() {
                        group.addTask {
                            do throws(AMQPError) {
                                try await channel.publish(AMQPMessage("m"), exchange: exchange, routingKey: "k")
                                return (number, "confirmed")
                            } catch {
                                return (number, error.outcomeIsUnknown ? "unknown" : "failed")
                            }
                        }
                        // They go out in this order.
                        try await sent.wait(for: number + 1)
                    }
                    return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                }
                #expect(exchanges.indices.map { outcomes[$0] } == ends)
            }
        }
        #expect(sent.all == exchanges)
    }
}
