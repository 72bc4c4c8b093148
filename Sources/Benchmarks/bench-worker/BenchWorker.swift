import ArgumentParser
import BenchmarkSupport
import Messaging
import MessagingRabbitMQ

/// Serves ``EchoRPC``, for a load to be put on it.
@main
struct BenchWorker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-worker",
        abstract: "Serves the methods that the benchmarks call.",
        discussion: """
            Prints READY when it would serve a call, and in the modes drain and fanout a line DONE with figures each time \
            that N messages were handled. The broker is that of AMQP_URL.
            """,
        subcommands: [Serve.self]
    )
}

enum Mode: String, ExpressibleByArgument, CaseIterable {
    /// Answers calls.
    case echo
    /// Takes in what waits in the queue, and counts.
    case drain
    /// As drain, with many servers in one process.
    case fanout
}

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server")

    @Option(help: "The topic that is served.")
    var topic: String

    @Option(help: "The name of the server, before its number in this process.")
    var host = "s"

    @Option(help: "What is measured.")
    var mode = Mode.echo

    @Option(name: .customLong("k"), help: "How many servers there are in this process.")
    var servers = 1

    @Option(name: .customLong("n"), help: "After how many messages figures are printed.")
    var count = 1

    @Option(help: "How many messages each queue hands out ahead.")
    var prefetch = 64

    @Option(help: "How many handlers of a server run at the same time.")
    var concurrency = 64

    func run() async throws {
        let transport = try makeBenchmarkTransport()
        let counter = MessageCounter(reportingEach: self.count)
        let endpoint = RPCEndpoint(version: "1.0") {
            EchoRPC.echo.handled { _, payload in payload.data }
            EchoRPC.tick.handled { _, _ in counter.count() }
        }
        var settings = RPCServer.Configuration()
        settings.prefetch = self.prefetch
        settings.concurrency = self.concurrency
        let configuration = settings
        let ready = Barrier(self.servers)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<self.servers {
                let server = RPCServer(
                    transport,
                    target: .topic(self.topic, server: "\(self.host)\(number)"),
                    endpoints: [endpoint],
                    configuration: configuration,
                    logger: .silent
                )
                group.addTask {
                    try await server.run { ready.arrive { printNow("READY") } }
                }
            }
            try await group.waitForAll()
        }
        await transport.close()
    }
}
