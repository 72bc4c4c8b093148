internal import AMQPClient
internal import Logging
internal import MessagingRabbitMQ

/// Does the work of one command over a connection of its own, within one time limit.
struct Session: Sendable {
    /// What a command works with.
    struct Means: Sendable {
        let transport: RabbitMQTransport
        /// The time that is left.
        let timeout: Duration
        let logger: Logger
    }

    /// What a command does.
    typealias Work = @Sendable (Means) async throws -> Outcome

    private let timeLimit: Duration
    private let work: Work
    private let transport: RabbitMQTransport
    private let logger: Logger

    /// How long an unreachable broker is tried: not for the whole of a long time limit, since whoever typed the command
    /// wants to hear of it, and a little less than a short one, so that the transport comes to say what it met.
    private static func connectLimit(of timeout: Duration) -> Duration { min(timeout * 9 / 10, .seconds(10)) }

    init(transport: RabbitMQConfiguration, timeLimit: Duration, logger: Logger, work: @escaping Work) {
        var configuration = transport
        let limit = Self.connectLimit(of: timeLimit)
        configuration.startTimeout = limit
        // Each host gets its share, or one that takes connections and says nothing would have all of it.
        configuration.connection.connectTimeout = limit / max(1, configuration.connection.hosts.count)
        self.timeLimit = timeLimit
        self.work = work
        self.transport = RabbitMQTransport(configuration, logger: logger)
        self.logger = logger
    }

    /// Does the work and hands its outcome to `report`, as soon as there is one; then closes the connection.
    ///
    /// - Parameter report: Prints the outcome and answers the program's exit code.
    /// - Returns: The exit code.
    func run(report: (Outcome) -> Int32) async -> Int32 {
        let deadline = ContinuousClock.now + self.timeLimit
        return await withTaskGroup(of: Outcome.self) { group in
            group.addTask {
                do {
                    let timeout = max(deadline - .now, .zero)
                    return try await self.work(
                        Means(transport: self.transport, timeout: timeout, logger: self.logger)
                    )
                } catch {
                    return Outcome(error)
                }
            }
            group.addTask {
                // The transport keeps the limit itself and knows more to say about it; this holds whatever it does.
                await Self.sleep(until: deadline + .milliseconds(250))
                return .failed(.init(kind: .timeout, message: "no end after \(self.timeLimit)"))
            }
            group.addTask {
                for await signal in interruptions() { return .interrupted(by: signal) }
                return .failed(.init(kind: .other, message: "cancelled"))
            }
            guard let outcome = await group.next() else { return ExitStatus.other }
            let code = report(outcome)
            // An orderly end is a courtesy to the broker, and must not keep anybody waiting.
            endProgram(code, after: .seconds(1))
            group.cancelAll()
            await self.transport.close()
            return code
        }
    }

    private static func sleep(until instant: ContinuousClock.Instant) async {
        do {
            try await ContinuousClock().sleep(until: instant)
        } catch {
            // Cancelled: the work has ended.
        }
    }
}
