internal import AMQPClient
internal import Logging
internal import Messaging
internal import MessagingRabbitMQ

/// Sends one request over a connection of its own, within one time limit.
struct Session: Sendable {
    private let request: Request
    private let transport: RabbitMQTransport
    private let logger: Logger

    /// How long an unreachable broker is tried: not for the whole of a long time limit, since whoever typed the command
    /// wants to hear of it, and a little less than a short one, so that the transport comes to say what it met.
    private static func connectLimit(of timeout: Duration) -> Duration { min(timeout * 9 / 10, .seconds(10)) }

    init(_ request: Request, transport: RabbitMQConfiguration, logger: Logger) {
        var configuration = transport
        let limit = Self.connectLimit(of: request.timeout)
        configuration.startTimeout = limit
        // Each host gets its share, or one that takes connections and says nothing would have all of it.
        configuration.connection.connectTimeout = limit / max(1, configuration.connection.hosts.count)
        self.request = request
        self.transport = RabbitMQTransport(configuration, logger: logger)
        self.logger = logger
    }

    /// Sends the request and hands its outcome to `report`, as soon as there is one; then closes the connection.
    ///
    /// - Parameter report: Prints the outcome and answers the program's exit code.
    /// - Returns: The exit code.
    func run(report: (Outcome) -> Int32) async -> Int32 {
        let deadline = ContinuousClock.now + self.request.timeout
        return await withTaskGroup(of: Outcome.self) { group in
            group.addTask {
                do {
                    return try await self.send(timeout: max(deadline - .now, .zero))
                } catch {
                    return Outcome(error)
                }
            }
            group.addTask {
                // The transport keeps the limit itself and knows more to say about it; this holds whatever it does.
                await Self.sleep(until: deadline + .milliseconds(250))
                return .failed(.init(kind: .timeout, message: "no end after \(self.request.timeout)"))
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

    private func send(timeout: Duration) async throws -> Outcome {
        var options = self.request.clientOptions
        options.timeout = timeout
        let client = RPCClient(self.transport, target: self.request.target, options: options, logger: self.logger)
        switch self.request.kind {
        case .call:
            let result = try await client.call(
                self.request.method,
                self.request.arguments,
                namespace: self.request.namespace
            )
            return .result(result)
        case .cast:
            try await client.cast(self.request.method, self.request.arguments, namespace: self.request.namespace)
        case .fanout:
            try await client.fanout(self.request.method, self.request.arguments, namespace: self.request.namespace)
        }
        return .sent
    }

    private static func sleep(until instant: ContinuousClock.Instant) async {
        do {
            try await ContinuousClock().sleep(until: instant)
        } catch {
            // Cancelled: the request has ended.
        }
    }
}
