import AMQPClient
import Foundation
import Messaging
import MessagingTesting
import TestSupport
import Testing

@testable import MessagingRabbitMQ

/// Wire contract 1.3, `use_queue_manager`: fanout and reply queues with names that stay.
@Suite(.timeLimit(.minutes(3))) struct StableNameTests {
    private static let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }

    /// A process name of one test: the numbers are shared by the whole machine.
    private static func process() -> String { "test-\(UUID().uuidString.prefix(8))" }

    @Test func `wire contract 1.3: a service that starts again has the same queues`() async throws {
        let process = Self.process()
        let options = "use_queue_manager=true&hostname=node9&processname=\(process)"
        try await Place.with { place in
            for _ in 1...2 {
                try await place.withTransport(options) { transport in
                    let target = Target.topic("wt", server: "a")
                    try await withRPCServer(on: transport, target: target, endpoints: [Self.endpoint]) { _ in
                        let client = RPCClient(transport, target: .topic("wt"))
                        let answer = try await client.call("echo", ["x": 1], timeout: .seconds(20))
                        #expect(answer == ["x": 1])
                    }
                }
                let left = try await place.queues()
                // Wire contract 1.4: with the queue manager neither queue is deleted.
                #expect(left.isSuperset(of: ["wt_fanout_node9:\(process):1", "reply_node9:\(process):2"]))
                #expect(left.filter { $0.contains(process) }.count == 2)
            }
        }
    }

    @Test func `wire contract 1.3: host and process are the machine's and the program's`() throws {
        let configuration = try RabbitMQConfiguration(url: "rabbit://h/v?use_queue_manager=1")
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, 255)
        #expect(
            configuration.stableNames?.host == String(decoding: name.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        )
        let program = CommandLine.arguments[0].split(separator: "/").last.map { String($0) }
        #expect(configuration.stableNames?.process == program)
        #expect(try RabbitMQConfiguration(url: "rabbit://h/v?hostname=x").stableNames == nil)
    }

    @Test func `two transports of one name at the same time never share a queue`() async throws {
        let options = "use_queue_manager=true&hostname=node9&processname=\(Self.process())"
        try await Place.with { place in
            try await place.withTransport(options) { first in
                try await place.withTransport(options) { second in
                    let names = [
                        try await first.openReplyQueue(deadline: .now + .seconds(20)),
                        try await second.openReplyQueue(deadline: .now + .seconds(20)),
                    ]
                    #expect(names.map { $0.split(separator: ":").last } == ["1", "2"])
                }
            }
        }
    }

    @Test func `a queue whose name another host uses by mistake is not shared with it`() async throws {
        let process = Self.process()
        try await Place.with { place in
            try await place.withChannel { channel in
                let name = "reply_node9:\(process):1"
                try await channel.declareQueue(name, arguments: ["x-expires": .int32(1_800_000)])
                try await channel.consume(queue: name, onDelivery: { _ in })
                try await place.withTransport("use_queue_manager=1&hostname=node9&processname=\(process)") {
                    transport in
                    let error = await #expect(throws: RPCError.self) {
                        _ = try await transport.openReplyQueue(deadline: .now + .seconds(20))
                    }
                    #expect((error?.cause as? AMQPError)?.code == .accessRefused)
                }
            }
        }
    }

    // MARK: Numbers

    @Test func `numbers are the lowest that are free, over all processes of one name`() async throws {
        let numbers = QueueNumbers(host: "node/9", process: "../\(Self.process())")
        let first = try numbers.take()
        var second: QueueNumbers.Lease? = try numbers.take()
        let third = try numbers.take()
        #expect([first, second, third].map { $0?.suffix.split(separator: ":").last } == ["1", "2", "3"])
        #expect(second?.suffix.hasPrefix("node/9:../") == true)
        second = nil
        #expect(try numbers.take().suffix.hasSuffix(":2"))
        first.release()
        first.release()
        let again = try numbers.take()
        #expect(again.suffix.hasSuffix(":1"))
        third.release()
        again.release()
    }

    @Test func `a number is free again when its process is killed`() async throws {
        let process = Self.process()
        let numbers = QueueNumbers(host: "node9", process: process)
        let file = "/dev/shm/steward_queues_node9=3a\(process)"
        let own = try numbers.take()
        #expect(FileManager.default.fileExists(atPath: file))
        own.release()
        // Another program that holds the lock on byte 1, as a process of the same name would.
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let program = """
            import fcntl, struct, sys
            file = open(sys.argv[1], "r+b")
            fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 1, 1, 0))
            print("locked", flush=True)
            sys.stdin.read()
            """
        holder.arguments = ["python3", "-c", program, file]
        let output = Pipe()
        let input = Pipe()
        holder.standardOutput = output
        holder.standardInput = input
        try holder.run()
        #expect(output.fileHandleForReading.availableData.starts(with: Data("locked".utf8)))
        let beside = try numbers.take()
        #expect(beside.suffix.hasSuffix(":2"))
        kill(holder.processIdentifier, SIGKILL)
        holder.waitUntilExit()
        let after = try numbers.take()
        #expect(after.suffix.hasSuffix(":1"))
        withExtendedLifetime((beside, input)) {}
        try FileManager.default.removeItem(atPath: file)
    }

    @Test func `numbers that cannot be had are an error that says what to do`() throws {
        let numbers = QueueNumbers(host: "h", process: "p", directory: "/no/such/directory")
        let error = #expect(throws: RPCError.self) { _ = try numbers.take() }
        #expect(error?.code == .misconfigured && error?.message.contains("/no/such/directory") == true)
    }
}
