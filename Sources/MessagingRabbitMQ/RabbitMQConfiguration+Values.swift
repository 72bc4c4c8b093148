internal import AMQPClient
internal import Compression
internal import Glibc
internal import Messaging

extension RabbitMQConfiguration {
    /// The names of fanout and reply queues: `T_fanout_HOST:PROCESS:N` and `reply_HOST:PROCESS:N`, the same after each
    /// start of a service (`use_queue_manager`).
    ///
    /// Such queues stay when the service stops, until they expire. N is the lowest number that no running process of this
    /// host and name holds.
    public struct StableNames: Sendable, Hashable {
        /// The host's name, unique among all hosts at the broker.
        public var host: String
        /// The service's name.
        public var process: String

        /// Creates names.
        ///
        /// - Parameters:
        ///   - host: The host's name; `nil`, the default, for the machine's own.
        ///   - process: The service's name; `nil`, the default, for the program's.
        public init(host: String? = nil, process: String? = nil) {
            self.host = host ?? Self.machine
            self.process = process ?? Self.program
        }
    }

    /// How bodies are compressed.
    public struct MessageCompression: Sendable, Hashable {
        let algorithm: CompressionAlgorithm

        /// What Python's kombu calls gzip: deflate, in zlib's format.
        public static let gzip = MessageCompression(algorithm: .gzip)
        /// bzip2.
        public static let bzip2 = MessageCompression(algorithm: .bzip2)

        /// The message with its body compressed, and the header that says so (wire contract 2.2).
        func packed(_ message: Message) async throws(RPCError) -> Message {
            var packed = message
            do {
                packed.body = try await self.algorithm.compress(message.body)
            } catch {
                let code: RPCError.Code = error.code == .cancelled ? .closed : .rejected
                throw RPCError(code, "the message cannot be compressed: \(error)", cause: error)
            }
            packed.headers["compression"] = self.algorithm.mediaType
            return packed
        }
    }

    /// Says which settings contradict each other (wire contract 1.3), before anything is connected.
    func validate() throws(RPCError) {
        if self.usesStreamForFanout, (self.prefetch ?? 0) <= 0 {
            throw RPCError(.misconfigured, "rabbit_stream_fanout needs rabbit_qos_prefetch_count above 0")
        }
        if self.usesStreamForFanout, !self.usesQuorumForTransientQueues {
            throw RPCError(.misconfigured, "rabbit_stream_fanout needs rabbit_transient_quorum_queue=true")
        }
        var isQuorum = self.usesQuorumForTransientQueues
        if case .quorum = self.queueProfile.kind { isQuorum = true }
        if self.mirrorsQueues, isQuorum {
            throw RPCError(
                .misconfigured,
                "rabbit_ha_queues and quorum queues exclude each other: quorum queues are replicated anyway"
            )
        }
        if self.connection.mechanism == .external, self.connection.tls?.certificateFile == nil {
            throw RPCError(
                .misconfigured,
                "the log-in EXTERNAL needs TLS with a client certificate: ssl, ssl_cert_file and ssl_key_file"
            )
        }
    }
}

extension RabbitMQConfiguration.StableNames {
    /// The machine's name, as `gethostname` tells it.
    private static var machine: String {
        var bytes = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&bytes, bytes.count - 1) == 0
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return isKnown && !name.isEmpty ? name : "localhost"
    }

    private static var program: String {
        CommandLine.arguments.first?.split(separator: "/").last.map { String($0) } ?? "steward"
    }
}
