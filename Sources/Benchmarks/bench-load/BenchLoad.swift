import ArgumentParser
import BenchmarkSupport
import Messaging
import MessagingRabbitMQ

/// Puts load on ``EchoRPC``, and prints what that took.
@main
struct BenchLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-load",
        abstract: "Calls the methods that bench-worker serves.",
        discussion: "Prints one line of JSON. The broker is that of AMQP_URL.",
        subcommands: [Call.self, Cast.self]
    )
}

struct LoadOptions: ParsableArguments {
    @Option(help: "The topic that is called.")
    var topic: String

    @Option(name: .customLong("n"), help: "How many requests are measured.")
    var count = 2_000

    @Option(help: "A file with the JSON value that each request carries.")
    var payload: String

    func read() throws -> EchoRPC.Payload {
        EchoRPC.Payload(data: try RawJSON(checking: contents(ofFile: self.payload)))
    }
}

struct Call: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Calls echo, each caller one call after the other.")

    @OptionGroup var options: LoadOptions

    @Option(help: "How many callers there are at the same time.")
    var callers = 1

    @Option(help: "How many calls come before those that are measured.")
    var warmup = 200

    func run() async throws {
        let transport = try makeBenchmarkTransport()
        let client = RPCClient(transport, target: .topic(self.options.topic), logger: .silent)
        let payload = try self.options.read()
        // The callers go on where their replies are read.
        try await withTaskExecutorPreference(transport.taskExecutor) {
            _ = try await self.call(client, payload, count: self.warmup)
            let measurement = Measurement()
            let latencies = try await self.call(client, payload, count: self.options.count)
            printNow(measurement.report(of: self.options.count, latencies: latencies))
        }
        await transport.close()
    }

    /// Answers how long each call took.
    private func call(_ client: RPCClient, _ payload: EchoRPC.Payload, count: Int) async throws -> [Duration] {
        let tickets = Tickets(count)
        return try await withThrowingTaskGroup(of: [Duration].self) { group in
            for _ in 0..<self.callers {
                group.addTask {
                    var latencies: [Duration] = []
                    while tickets.take() {
                        let start = ContinuousClock.now
                        _ = try await client.call(EchoRPC.echo, payload)
                        latencies.append(.now - start)
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

struct Cast: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Casts tick.")

    enum Mode: String, ExpressibleByArgument, CaseIterable {
        case topic, fanout
    }

    @OptionGroup var options: LoadOptions

    @Option(help: "How many casts may wait for the broker's confirm at the same time; 0 to wait for none.")
    var confirm = 0

    @Option(help: "To any server of the topic, or to all.")
    var mode = Mode.topic

    func run() async throws {
        let transport = try makeBenchmarkTransport()
        var options = RPCClient.Options()
        options.awaitsConfirm = self.confirm > 0
        let client = RPCClient(transport, target: .topic(self.options.topic), options: options, logger: .silent)
        let payload = try self.options.read()
        try await transport.open()
        let tickets = Tickets(self.options.count)
        let measurement = Measurement()
        try await withTaskExecutorPreference(transport.taskExecutor) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<max(1, self.confirm) {
                    group.addTask {
                        while tickets.take() { try await self.cast(client, payload) }
                    }
                }
                try await group.waitForAll()
            }
        }
        // The broker has taken everything in when it agrees to the end.
        await transport.close()
        printNow(measurement.report(of: self.options.count))
    }

    private func cast(_ client: RPCClient, _ payload: EchoRPC.Payload) async throws {
        switch self.mode {
        case .topic: try await client.cast(EchoRPC.tick, payload)
        case .fanout: try await client.fanout(EchoRPC.tick, payload)
        }
    }
}
