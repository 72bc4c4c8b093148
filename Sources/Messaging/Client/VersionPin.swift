public import Logging
internal import Synchronization

/// Knows which version of an interface the hosts of a topic offer, so that a client asks for nothing that one of them
/// does not know yet: what makes a rolling upgrade go unnoticed.
///
/// ```swift
/// let pin = VersionPin(transport, of: VolumeRPC.contract, topic: "cinder-volume")
/// let volumes = VolumeAPI(transport).prepare { $0.versionPin = pin }
/// if volumes.canSend(VolumeRPC.snapshot) { … } else { … }
/// ```
///
/// A client with a pin asks for at most the version that all hosts offer, or that the one host offers to which it is
/// directed. It learns this from the hosts themselves, by ``ControlRPC/info``: before the first request, every interval
/// while ``run()`` runs, and whenever a request is above what is known or is refused for its version. So the pin goes down
/// when an old host joins, and rises by itself when the last old one has gone.
///
/// Hosts that do not answer such questions, as those of oslo.messaging, are not seen; for them there is
/// ``RPCClient/Options/versionCap``.
public final class VersionPin: Sendable {
    /// How a pin learns.
    public struct Configuration: Sendable, Hashable {
        /// How often ``VersionPin/run()`` asks the hosts; every 30 s by default.
        public var interval: Duration = .seconds(30)
        /// How long their answers are waited for; half a second by default.
        public var patience: Duration = .milliseconds(500)
        /// How old what is known must be for a refused request to ask anew; 1 s by default.
        public var minimumAge: Duration = .seconds(1)

        /// Creates the defaults.
        public init() {}
    }

    /// A host that has answered.
    private struct Host {
        var name: String
        /// What it offers of the interface; `nil` for nothing.
        var version: RPCVersion?
        /// How many questions in a row it has left unanswered.
        var silences = 0
    }

    private struct State {
        /// By incarnation: two processes may have one name, and not the same version.
        var hosts: [String: Host] = [:]
        var learnedAt: ContinuousClock.Instant?
        /// Comes when the question that is being asked is through.
        var asking: Eventual<Void>?
    }

    /// A host may be busy for a moment; of one that is silent twice the broker is asked whether it is there.
    private static let silencesOfTheGone = 2
    /// A bound on what peers can make this grow to.
    private static let largestCount = 4096

    /// The topic whose hosts are asked.
    public let topic: String
    private let namespace: String?
    private let major: Int
    private let configuration: Configuration
    private let control: RPCClient
    private let logger: Logger
    private let state = Mutex(State())

    /// Creates a pin that knows nothing yet.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - contract: The contract, as this side knows it; its namespace and major version are looked for.
    ///   - topic: The topic whose hosts are asked.
    ///   - exchange: The control exchange, where it is not the transport's own.
    ///   - configuration: How often it asks.
    ///   - logger: Where changes are logged.
    public convenience init<Service: Sendable>(
        _ transport: any Transport,
        of contract: RPCContract<Service>,
        topic: String,
        exchange: String? = nil,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "steward.rpc.pin")
    ) {
        self.init(
            transport,
            namespace: contract.namespace,
            major: contract.version.major,
            topic: topic,
            exchange: exchange,
            configuration: configuration,
            logger: logger
        )
    }

    /// Creates a pin of an interface without a contract.
    ///
    /// - Parameters:
    ///   - transport: What carries the messages.
    ///   - namespace: The interface's namespace; `nil` for the null namespace.
    ///   - major: The major version that this side speaks.
    ///   - topic: The topic whose hosts are asked.
    ///   - exchange: The control exchange, where it is not the transport's own.
    ///   - configuration: How often it asks.
    ///   - logger: Where changes are logged.
    public init(
        _ transport: any Transport,
        namespace: String?,
        major: Int,
        topic: String,
        exchange: String? = nil,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "steward.rpc.pin")
    ) {
        var logger = logger
        logger[metadataKey: "topic"] = "\(topic)"
        self.topic = topic
        self.namespace = namespace
        self.major = major
        self.configuration = configuration
        self.control = RPCClient(transport, target: Target.topic(topic, exchange: exchange).control, logger: logger)
        self.logger = logger
    }

    // MARK: What is known

    /// The version that all hosts offer; `nil` while none has answered, and where one offers nothing of the interface.
    public var version: RPCVersion? {
        self.state.withLock { state in
            let versions = state.hosts.values.map(\.version)
            return versions.contains(nil) ? nil : versions.compactMap { $0 }.min()
        }
    }

    /// The versions that the hosts offer, by host; the lowest where a name is had twice.
    public var versions: [String: RPCVersion] {
        self.state.withLock { state in
            Dictionary(
                state.hosts.values.compactMap { host in host.version.map { (host.name, $0) } },
                uniquingKeysWith: min
            )
        }
    }

    /// Why a request of a version is not to be sent to a host, or to any of the topic; `nil` where it may be.
    func objection(to version: RPCVersion, at server: String?) -> String? {
        self.state.withLock { state in
            let all = state.hosts.values.filter { server == nil || $0.name == server }
            return all.lazy.filter { $0.version?.supports(version) != true }.min { $0.name < $1.name }.map { host in
                host.version.map { "host \(host.name) offers \($0)" }
                    ?? "host \(host.name) does not offer the interface"
            }
        }
    }

    // MARK: Learning

    /// Asks all hosts now.
    ///
    /// One question at a time: who comes while one is being asked waits for its answers.
    ///
    /// - Throws: `RPCError` where the question cannot be sent: what was known stays; `CancellationError`.
    public func refresh() async throws {
        let mine = Eventual<Void>()
        let other = self.state.withLock { state -> Eventual<Void>? in
            if let asking = state.asking { return asking }
            state.asking = mine
            return nil
        }
        if let other {
            await other.wait()
            return try Task.checkCancellation()
        }
        defer {
            self.state.withLock { $0.asking = nil }
            mine.fulfil()
        }
        let answers = try await self.control.gather(ControlRPC.info, within: self.configuration.patience)
        self.learn(answers.compactMap(self.read))
        for (incarnation, name) in self.silent where await self.hasGone(name) {
            self.changing { $0.hosts[incarnation] = nil }
        }
    }

    /// What a host has answered; an answer that cannot be read is none.
    private func read(_ answer: RPCAnswer<ControlRPC.Info>) -> ControlRPC.Info? {
        switch answer.result {
        case .success(let info): return info
        case .failure(let error):
            self.logger.info("the answer of a host is left out", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// The hosts that have been asked in vain more than once.
    private var silent: [(incarnation: String, name: String)] {
        self.state.withLock { state in
            state.hosts.filter { $0.value.silences >= Self.silencesOfTheGone }.map { ($0.key, $0.value.name) }
        }
    }

    /// Whether nobody waits for questions to a host; a busy one, or one that hangs, still has its old version.
    private func hasGone(_ name: String) async -> Bool {
        let target = self.control.target
        let control = Target.topic(self.topic, server: name, exchange: target.exchange).control
        let queue = Destination.server(control.server ?? "", topic: control.topic, exchange: control.exchange)
        do {
            let transport = self.control.transport
            let status = try await transport.status(of: queue, deadline: transport.clock.now + .seconds(2))
            return status.map { $0.consumers == 0 } ?? true
        } catch {
            return false
        }
    }

    /// Asks all hosts every interval, until the task is cancelled; the first time at once.
    public func run() async {
        let clock = self.control.transport.clock
        while !Task.isCancelled {
            await self.tryToRefresh()
            do {
                try await clock.sleep(self.configuration.interval)
            } catch {
                return  // The task was cancelled.
            }
        }
    }

    /// Asks the hosts unless that was done before.
    func learnFirst() async {
        if self.state.withLock({ $0.learnedAt == nil }) { await self.tryToRefresh() }
    }

    /// Asks the hosts again, unless what is known is young; answers whether it was done.
    func refreshIfOld() async -> Bool {
        let now = self.control.transport.clock.now
        let isOld = self.state.withLock { state in
            state.learnedAt.map { now - $0 >= self.configuration.minimumAge } ?? true
        }
        guard isOld else { return false }
        await self.tryToRefresh()
        return true
    }

    /// Asks the hosts; where that cannot be done, what is known stays.
    func tryToRefresh() async {
        do {
            try await self.refresh()
        } catch {
            self.logger.debug("the hosts could not be asked for their versions", metadata: ["error": "\(error)"])
        }
    }

    private func learn(_ answers: [ControlRPC.Info]) {
        let now = self.control.transport.clock.now
        self.changing { state in
            state.learnedAt = now
            // Of a host that was started again only the new life answers.
            let names = Set(answers.map(\.host))
            state.hosts = state.hosts.filter { !names.contains($0.value.name) }
            for incarnation in state.hosts.keys {
                state.hosts[incarnation]?.silences += 1
            }
            for answer in answers {
                if answer.state == .draining {
                    // It takes nothing more: whatever it offers does not matter.
                    state.hosts[answer.incarnation] = nil
                } else if state.hosts.count < Self.largestCount || state.hosts[answer.incarnation] != nil {
                    state.hosts[answer.incarnation] = Host(name: answer.host, version: self.version(in: answer))
                }
            }
        }
    }

    /// Changes what is known, and logs a version that follows from it.
    private func changing(_ body: (inout State) -> Void) {
        let before = self.version
        self.state.withLock { body(&$0) }
        let after = self.version
        guard before != after else { return }
        self.logger.info(
            "the version that all hosts offer has changed",
            metadata: ["was": "\(before?.description ?? "not known")", "is": "\(after?.description ?? "not known")"]
        )
    }

    private func version(in info: ControlRPC.Info) -> RPCVersion? {
        info.endpoints.filter { endpoint in
            endpoint.version.major == self.major
                && (endpoint.namespace == self.namespace
                    || self.namespace.map(endpoint.legacyNamespaces.contains) ?? false)
        }.map(\.version).max()
    }
}
