import AMQPClient
import Messaging
import TestSupport
import Testing

@testable import MessagingRabbitMQ

/// Wire contract 1.3, "peers that disagree", and fault 19: what exists otherwise is adopted or refused with a plan, and
/// never deleted.
@Suite(.timeLimit(.minutes(3))) struct ConflictTests {
    private typealias Difference = TopologyConflict.Difference

    @Test func `fault 19: a refusal names everything that differs, and the queue keeps its messages`() async throws {
        try await Place.with { place in
            let body = """
                {"durable": true, "auto_delete": true,
                 "arguments": {"x-max-length": 5, "x-dead-letter-exchange": "graveyard", "x-expires": 3600000}}
                """
            try await place.broker.request("PUT", "queues/\(place.virtualHost)/wt", body: body)
            try await place.withChannel { channel in
                for _ in 1...2 { try await channel.publish(AMQPMessage(body: [1]), exchange: "", routingKey: "wt") }
            }
            try await place.withTransport { transport in
                let error = await #expect(throws: RPCError.self) {
                    _ = try await transport.listen(on: .server(.topic("wt", server: "a")), prefetch: 1) { _ in }
                }
                let conflict = try #require((error?.cause as? AMQPError)?.cause as? TopologyConflict)
                #expect(conflict.kind == "queue" && conflict.name == "wt")
                #expect(conflict.messages == 2 && conflict.consumers == 0)
                let found = Set(conflict.differences.map { "\($0.property) \($0.wanted ?? "-") \($0.existing ?? "-")" })
                #expect(
                    found == [
                        "durable false true", "auto_delete false true", "x-max-length - 5",
                        "x-dead-letter-exchange - graveyard", "x-expires - 3600000",
                    ]
                )
                // The plan is in the text, for whoever reads a log.
                for part in ["'wt'", "x-max-length is 5", "2 messages", "delete it"] {
                    #expect(error?.message.contains(part) == true, "\(part)")
                }
            }
            try await place.withChannel { channel in
                let status = try await channel.declareQueuePassively("wt")
                #expect(status.messageCount == 2)
            }
        }
    }

    @Test func `fault 19: another type of queue is a difference like any other`() async throws {
        try await Place.with { place in
            try await place.broker.request(
                "PUT",
                "queues/\(place.virtualHost)/wt",
                body: #"{"durable": true, "auto_delete": false, "arguments": {"x-queue-type": "quorum"}}"#
            )
            try await place.withTransport { transport in
                let error = await #expect(throws: RPCError.self) {
                    _ = try await transport.listen(on: .server(.topic("wt", server: "a")), prefetch: 1) { _ in }
                }
                let conflict = try #require((error?.cause as? AMQPError)?.cause as? TopologyConflict)
                #expect(Set(conflict.differences.map(\.property)) == ["durable", "x-queue-type"])
            }
        }
    }

    @Test func `fault 19: an exchange of another type is refused with what differs`() async throws {
        try await Place.with { place in
            try await place.broker.request(
                "PUT",
                "exchanges/\(place.virtualHost)/openstack",
                body: #"{"type": "direct", "durable": true, "auto_delete": true}"#
            )
            try await place.withTransport { transport in
                let options = SendOptions(deadline: .now + .seconds(20))
                let error = await #expect(throws: RPCError.self) {
                    try await transport.send(Message(body: []), to: .topic("wt", exchange: nil), options: options)
                }
                let conflict = try #require((error?.cause as? AMQPError)?.cause as? TopologyConflict)
                #expect(conflict.kind == "exchange" && conflict.name == "openstack")
                #expect(Set(conflict.differences.map(\.property)) == ["type", "durable", "auto_delete"])
            }
        }
    }

    @Test(arguments: [("", true), ("amqp_durable_queues=true", false)])
    func `wire contract 1.3: a publisher adopts an exchange, and a server a queue, of another durability`(
        options: String,
        durable: Bool
    ) async throws {
        try await Place.with { place in
            try await place.withChannel { channel in
                try await channel.declareExchange("openstack", type: .topic, durable: durable)
                try await channel.declareQueue("wt", durable: durable)
            }
            try await place.withTransport(options) { transport in
                let listener = try await transport.listen(on: .server(.topic("wt", server: "a")), prefetch: 1) { _ in }
                let send = SendOptions(isMandatory: true, deadline: .now + .seconds(20))
                try await transport.send(Message(body: []), to: .topic("wt", exchange: nil), options: send)
                await listener.close()
            }
        }
    }

    @Test func `a difference is read from the broker's words, whole or cut off`() throws {
        func read(_ text: String) -> (String, String?, String?)? {
            Difference(parsing: text).map { ($0.property, $0.wanted, $0.existing) }
        }
        let start = "PRECONDITION_FAILED - inequivalent arg"
        let durable = try #require(
            read("\(start) 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'")
        )
        #expect(durable == ("durable", "true", "false"))
        let added = try #require(
            read(
                "\(start) 'x-max-length' for queue 'q' in vhost '/': "
                    + "received none but current is the value '5' of type 'signedint'"
            )
        )
        #expect(added == ("x-max-length", nil, "5"))
        let missing = try #require(
            read(
                "\(start) 'x-expires' for queue 'it''s' in vhost '/': "
                    + "received the value '60000' of type 'signedint' but current is none"
            )
        )
        #expect(missing == ("x-expires", "60000", nil))
        let long = try #require(read("\(start) 'durable' for queue 'a very long na"))
        #expect(long == ("durable", nil, nil))
        for text in ["", "NOT_FOUND - no queue 'q'", "inequivalent arg '", "invalid property 'non-durable' for queue"] {
            #expect(read(text) == nil, "\(text)")
        }
    }
}
