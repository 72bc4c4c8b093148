public import Logging
public import Messaging

/// What a scheduler lets others call: the client's side.
///
/// Names, arguments and version are cinder's (wire contract 7.2), so that its schedulers understand the reports.
public struct SchedulerAPI: Sendable {
    /// What one host can do, as it is reported to the schedulers.
    public struct CapabilityReport: Codable, Sendable, Hashable {
        /// The kind of service: a cinder scheduler knows `volume` and `backup`, and ignores others.
        public var serviceName: String
        /// The host that the report is about.
        public var host: String
        /// What it can do; a JSON object.
        public var capabilities: JSONValue
        /// When it is reported, by the host's clock: UTC, `YYYY-MM-DDTHH:MM:SS.ffffff`.
        public var timestamp: String?

        /// Creates a report; without a time by default.
        public init(serviceName: String, host: String, capabilities: JSONValue, timestamp: String? = nil) {
            self.serviceName = serviceName
            self.host = host
            self.capabilities = capabilities
            self.timestamp = timestamp
        }

        private enum CodingKeys: String, CodingKey {
            case serviceName = "service_name"
            case host
            case capabilities
            case timestamp
        }
    }

    /// Tells a scheduler what a host can do; fanned out, so that all schedulers know.
    ///
    /// Version 3.3 is the one with the time of the report; later ones add arguments, which a handler of this method does
    /// not see.
    public static let updateServiceCapabilities = RPCMethod<CapabilityReport, Void>(
        "update_service_capabilities",
        since: "3.3"
    )

    private let client: RPCClient

    /// Creates a client of the schedulers.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - topic: The schedulers' topic; cinder's by default.
    ///   - timeout: How long a report may take to be handed to the broker; 60 s by default.
    ///   - logger: Where the client writes.
    public init(
        _ transport: any Transport,
        topic: String = "cinder-scheduler",
        timeout: Duration = .seconds(60),
        logger: Logger = Logger(label: "steward.scheduler.api")
    ) {
        var options = RPCClient.Options()
        options.timeout = timeout
        self.client = RPCClient(transport, target: .topic(topic), options: options, logger: logger)
    }

    /// Reports to all schedulers; that there are none is no error.
    ///
    /// Returns when the broker has taken the report.
    ///
    /// - Parameters:
    ///   - report: What the host can do.
    ///   - context: The request context; the system's own by default.
    /// - Throws: `RPCError`, where the broker cannot be reached in time or refuses the message.
    public func updateServiceCapabilities(_ report: CapabilityReport, context: RPCContext = .admin()) async throws {
        try await self.client.fanout(Self.updateServiceCapabilities, report, context: context)
    }
}
