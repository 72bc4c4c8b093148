internal import Glibc
public import MessagingRabbitMQ

/// Makes the transport that a benchmark runs on: the broker of `AMQP_URL`, and the exchange that the programs of other
/// systems use.
///
/// - Returns: The transport, not connected yet.
/// - Throws: `TransportURLError` where the variable is no URL of a broker.
public func makeBenchmarkTransport() throws -> RabbitMQTransport {
    let url = getenv("AMQP_URL").map { String(cString: $0) } ?? "amqp://guest:guest@127.0.0.1:5672/perf"
    var configuration = try RabbitMQConfiguration(url: url)
    configuration.exchange = "perf_oslo"
    configuration.startTimeout = .seconds(30)
    return RabbitMQTransport(configuration, logger: .silent)
}

/// Prints a line at once, also into a pipe.
///
/// - Parameter line: The line, without its end.
public func printNow(_ line: String) {
    print(line)
    fflush(nil)
}
