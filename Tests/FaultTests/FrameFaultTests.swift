import AMQPClient
import FaultHarness
import Foundation
import Logging
import TestSupport
import Testing

@testable import Messaging

/// What is wrong with single frames: ends within them, limits beside the protocol, contents that nobody may send.
@Suite(.serialized, .timeLimit(.minutes(3))) struct FrameFaultTests {
    // MARK: 5

    @Test(arguments: [FaultProxy.Direction.toClient, .toBroker])
    func `fault 5: a connection that ends inside of a frame costs time, and no message arrives in part`(
        _ direction: FaultProxy.Direction
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            // The worker's frames are cut as they come, the caller's as they go.
            try await FaultProxy.with(before: url) { proxy, damaged in
                let ends = direction == .toClient ? (damaged, url) : (url, damaged)
                try await FaultService.with(ends.0, clientURL: ends.1) { service in
                    try await service.untilAnswered()
                    let cuts = Collector<Int>()
                    proxy.onFrame { frame in
                        guard frame.direction == direction, frame.type == 3, cuts.all.count < 3 else { return .pass }
                        cuts.add(frame.payload.count)
                        return .cutInside
                    }
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask { await service.traffic() }
                        try await service.until(within: .seconds(40), "three cuts") { cuts.all.count == 3 }
                        let answered = try await service.untilAnswered(within: .seconds(5))
                        let side = direction == .toClient ? "worker" : "caller"
                        FaultFigures.record(fault: 5, "answering after a cut at the \(side)", answered)
                        try await service.untilReady(within: .seconds(5))
                        group.cancelAll()
                    }
                    try await service.untilSettled()
                    #expect(service.checker.violations == [])
                    // A part of a body is no JSON, and would have been refused.
                    let refusals = service.server.statistics.totalRefusals()
                    #expect(refusals.values.allSatisfy { $0 == 0 }, "\(refusals)")
                }
            }
        }
    }

    // MARK: 16

    struct Tuning: Sendable, CustomTestStringConvertible {
        let channelMax: UInt16
        let frameMax: UInt32
        let heartbeat: UInt16
        var testDescription: String { "\(self.channelMax) channels, \(self.frameMax) bytes, \(self.heartbeat) s" }
    }

    private static let legal = [
        Tuning(channelMax: 0, frameMax: 0, heartbeat: 0), Tuning(channelMax: 2, frameMax: 4_096, heartbeat: 1),
        Tuning(channelMax: 65_535, frameMax: .max, heartbeat: 65_535),
        Tuning(channelMax: 2_047, frameMax: 4_097, heartbeat: 0),
    ]

    @Test(arguments: legal)
    func `fault 16: what the broker tunes low, to zero or high is kept where it is legal`(_ tuning: Tuning) async throws
    {
        let frames = Collector<Int>()
        try await FakeBroker.with { peer, _ in
            try peer.logIn(
                channelMax: tuning.channelMax,
                frameMax: tuning.frameMax,
                heartbeat: tuning.heartbeat
            )
            while true {
                let frame = try peer.receiveFrame()
                if frame.type == 3 { frames.add(frame.payload.count) }
                guard frame.type == 1 else { continue }
                switch frame.payload[0..<4].reduce(UInt32(0), { $0 << 8 | UInt32($1) }) {
                case 0x0014_000A: try peer.send(Wire.method(frame.channel, 20, 11, Wire.long(0)))
                case 0x003C_000A: try peer.send(Wire.method(frame.channel, 60, 11))
                case 0x000A_0032: try peer.send(Wire.method(0, 10, 51))
                default: break
                }
            }
        } _: { broker, url in
            try await Self.withConnection(url) { connection in
                let channel = try await connection.openChannel()
                let message = AMQPMessage(body: [UInt8](repeating: 7, count: 10_000))
                try await channel.publish(message, exchange: "", routingKey: "q")
                try await frames.wait { $0.reduce(0, +) == 10_000 }
                let largest = tuning.frameMax == 0 ? 131_072 : min(Int(tuning.frameMax), 131_072)
                #expect(frames.all.allSatisfy { $0 <= largest - 8 }, "\(frames.all)")
                if tuning.channelMax == 2 {
                    // The other one is the connection's own.
                    let error = await #expect(throws: AMQPError.self) { _ = try await connection.openChannel() }
                    #expect(error?.code == .channelsExhausted)
                }
                #expect(broker.connections == 1)
            }
        }
    }

    @Test(arguments: [1, 8, 4_095] as [UInt32])
    func `fault 16: frames below the protocol's minimum are refused, and accepted when the broker is mended`(
        _ frameMax: UInt32
    ) async throws {
        try await FakeBroker.with { peer, number in
            try peer.logIn(frameMax: number <= 2 ? frameMax : 4_096)
            try peer.serve()
        } _: { broker, url in
            let connection = try Self.connection(url)
            let error = await #expect(throws: AMQPError.self) { try await connection.open() }
            #expect(error?.code == .protocolViolation && error?.message.contains("4096") == true)
            try await connection.open(timeout: .seconds(10))
            #expect(broker.connections == 3)
            await connection.close()
        }
    }

    // MARK: 31

    private static let malformed: [(String, [UInt8])] = [
        ("a wrong end octet", Wire.frame(1, 1, [0, 20, 0, 41], end: 0)),
        ("a wrong end octet behind a heartbeat", Wire.frame(8, 0, [], end: 0xCD)),
        ("a length beyond the agreed one", [3, 0, 1, 0x00, 0x02, 0x00, 0x00]),
        ("an enormous length", [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("an undersized method", Wire.frame(1, 1, [0, 60])),
        ("an undersized header", Wire.deliver(1, consumer: "c", tag: 1) + Wire.frame(2, 1, [0, 60, 0, 0, 0])),
        ("an unknown type", Wire.frame(7, 1, [0, 0])),
        ("an unknown method", Wire.method(1, 60, 999)),
        ("an unknown class", Wire.method(1, 12_345, 10)),
        ("a method that ends in an argument", Wire.method(1, 60, 60, [200, 1])),
        ("a channel that is not open", Wire.deliver(999, consumer: "c", tag: 1)),
        ("a body on channel 0", Wire.frame(3, 0, [1])),
        ("a heartbeat on a channel", Wire.frame(8, 1, [])),
        ("a body without header", Wire.deliver(1, consumer: "c", tag: 1) + Wire.frame(3, 1, [1, 2, 3])),
        ("a header without method", Wire.contentHeader(1, bodySize: 1)),
        (
            "a header without body",
            Wire.deliver(1, consumer: "c", tag: 1) + Wire.contentHeader(1, bodySize: 9)
                + Wire.deliver(1, consumer: "c", tag: 2)
        ),
        (
            "a body larger than announced",
            Wire.deliver(1, consumer: "c", tag: 1) + Wire.contentHeader(1, bodySize: 2) + Wire.frame(3, 1, [1, 2, 3])
        ),
        (
            "a header of another class",
            Wire.deliver(1, consumer: "c", tag: 1) + Wire.frame(2, 1, [0, 50] + [UInt8](repeating: 0, count: 12))
        ),
        ("a delivery tag that was there", Self.empty(tag: 5) + Self.empty(tag: 5)),
        ("a confirm of nothing", Wire.method(1, 60, 80, Wire.longLong(5) + [0])),
    ]

    private static func empty(tag: UInt64) -> [UInt8] {
        Wire.deliver(1, consumer: "c", tag: tag) + Wire.contentHeader(1, bodySize: 0)
    }

    @Test(arguments: malformed)
    func `fault 31: a malformed frame closes the connection with 501 or 505, and the next one serves`(
        _ what: String,
        _ bytes: [UInt8]
    ) async throws {
        let codes = Collector<Int>()
        try await FakeBroker.with { peer, number in
            try peer.logIn()
            try peer.serve { _, id in
                guard number == 1, id == 0x0014_000A else { return }
                try peer.send(bytes)
                while true {
                    let (channel, id, arguments) = try peer.receiveMethod()
                    if channel == 0, id == 0x000A_0032 { codes.add(Int(arguments[0]) << 8 | Int(arguments[1])) }
                }
            }
        } _: { broker, url in
            try await Self.withConnection(url) { connection in
                let channel = try await connection.openChannel()
                let received = Collector<AMQPDelivery>()
                try await channel.consume(queue: "q", tag: "c", onDelivery: { received.add($0) })
                #expect(try await codes.wait(.seconds(10)) { !$0.isEmpty }.allSatisfy { [501, 505].contains($0) })
                #expect(try await channel.declareQueue("q").name == "q", "\(what)")
                #expect(broker.connections == 2)
                #expect(received.all.allSatisfy { $0.message.body.isEmpty })
            }
        }
    }

    // MARK: Support

    private static func connection(_ url: String) throws -> AMQPConnection {
        var configuration = try AMQPConfiguration(url: url)
        configuration.backoff = AMQPConfiguration.Backoff(initial: .milliseconds(10), maximum: .milliseconds(50))
        configuration.closeTimeout = .milliseconds(300)
        configuration.operationTimeout = .seconds(5)
        var logger = Logger(label: "frames")
        logger.logLevel = .critical
        return AMQPConnection(configuration, logger: logger)
    }

    private static func withConnection(_ url: String, _ body: (AMQPConnection) async throws -> Void) async throws {
        let connection = try self.connection(url)
        do {
            try await connection.open()
            try await body(connection)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }
}
