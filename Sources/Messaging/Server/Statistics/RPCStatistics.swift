internal import Synchronization

/// What a server has done, method by method.
///
/// A request costs two uncontended locks and a look-up here. What is counted belongs to the methods that are served, so
/// that no caller can make it grow: whatever else is asked for is counted together.
final class RPCStatistics: Sendable {
    /// How a handler ended.
    enum Ending: Sendable {
        case succeeded
        /// It threw something that is, or is not, part of its ordinary business.
        case failed(isExpected: Bool)
        case cancelled
    }

    /// A handler that runs.
    struct Run: Sendable {
        fileprivate let method: Method
        fileprivate let startedAt: ContinuousClock.Instant
    }

    fileprivate struct Key: Hashable {
        let namespace: String?
        let name: String
    }

    /// One method's figures, or those of all requests for no method that is served.
    fileprivate final class Method: Sendable {
        struct Figures {
            var started = 0
            var running = 0
            var succeeded = 0
            var expectedErrors = 0
            var unexpectedErrors = 0
            var cancelled = 0
            var expired = 0
            var duplicates = 0
            var refusals: [RefusalKind: Int] = [:]
            var retries = 0
            var redeliveries = 0
            var deadLetters: [DeadLetterReason: Int] = [:]
            var queueWait = LatencyHistogram()
            var runTime = LatencyHistogram()
        }

        let key: Key
        private let figures = Mutex(Figures())

        init(_ key: Key) {
            self.key = key
        }

        func change<Value: Sendable>(_ body: (inout Figures) -> Value) -> Value {
            self.figures.withLock { body(&$0) }
        }
    }

    private let methods: [Key: Method]
    /// The same by what each handler is known by: names would have to be hashed at each request.
    private let byHandler: [ObjectIdentifier: Method]
    private let others = Method(Key(namespace: nil, name: ""))

    init(_ endpoints: [RPCEndpoint]) {
        var methods: [Key: Method] = [:]
        var byHandler: [ObjectIdentifier: Method] = [:]
        for endpoint in endpoints {
            for (name, handler) in endpoint.handlers {
                // One of several versions: to the caller it is one method.
                let key = Key(namespace: endpoint.namespace, name: name)
                let method = methods[key] ?? Method(key)
                methods[key] = method
                byHandler[ObjectIdentifier(handler.identity)] = method
            }
        }
        self.byHandler = byHandler
        self.methods = methods
    }

    // MARK: Counting

    /// A handler begins.
    ///
    /// - Parameters:
    ///   - handler: The handler.
    ///   - receivedAt: When its request arrived here.
    ///   - now: The present.
    /// - Returns: What ``end(_:_:now:)`` needs.
    func begin(
        _ handler: RPCHandler,
        receivedAt: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) -> Run {
        let method = self.byHandler[ObjectIdentifier(handler.identity)] ?? self.others
        method.change { figures in
            figures.started += 1
            figures.running += 1
            figures.queueWait.record(now - receivedAt)
        }
        return Run(method: method, startedAt: now)
    }

    /// A handler has ended.
    func end(_ run: Run, _ ending: Ending, now: ContinuousClock.Instant) {
        run.method.change { figures in
            figures.running -= 1
            figures.runTime.record(now - run.startedAt)
            switch ending {
            case .succeeded: figures.succeeded += 1
            case .failed(isExpected: true): figures.expectedErrors += 1
            case .failed(isExpected: false): figures.unexpectedErrors += 1
            case .cancelled: figures.cancelled += 1
            }
        }
    }

    /// A request is not run, and its caller is told why.
    func countRefusal(_ refusal: RefusalKind, of method: String? = nil, namespace: String? = nil) {
        self.method(method ?? "", namespace: namespace).change { $0.refusals[refusal, default: 0] += 1 }
    }

    /// A request is not run, because its caller has given up.
    func countExpired(_ method: String, namespace: String?) {
        self.method(method, namespace: namespace).change { $0.expired += 1 }
    }

    /// A request is not run, because it was run before.
    func countDuplicate(_ method: String, namespace: String?) {
        self.method(method, namespace: namespace).change { $0.duplicates += 1 }
    }

    /// A request was sent on for another attempt, of its failure or because its worker was lost.
    func countRetry(_ method: String, namespace: String?, isRedelivery: Bool) {
        self.method(method, namespace: namespace).change { figures in
            figures.retries += 1
            figures.redeliveries += isRedelivery ? 1 : 0
        }
    }

    /// A request was put among the dead letters.
    func countDeadLetter(_ reason: DeadLetterReason, of method: String?, namespace: String?) {
        self.method(method ?? "", namespace: namespace).change { $0.deadLetters[reason, default: 0] += 1 }
    }

    private func method(_ name: String, namespace: String?) -> Method {
        self.methods[Key(namespace: namespace, name: name)] ?? self.others
    }

    // MARK: Reading

    /// The figures of all methods, sorted by namespace and name.
    func methodStatistics() -> [ControlRPC.MethodStatistics] {
        self.methods.values
            .sorted { ($0.key.namespace ?? "", $0.key.name) < ($1.key.namespace ?? "", $1.key.name) }
            .map { method in
                let figures = method.change { $0 }
                return ControlRPC.MethodStatistics(
                    name: method.key.name,
                    namespace: method.key.namespace,
                    calls: figures.started,
                    inFlight: figures.running,
                    succeeded: figures.succeeded,
                    errors: ControlRPC.Errors(
                        expected: figures.expectedErrors,
                        unexpected: figures.unexpectedErrors
                    ),
                    cancelled: figures.cancelled,
                    expired: figures.expired,
                    duplicates: figures.duplicates,
                    refusals: Self.byName(figures.refusals),
                    queueWait: ControlRPC.Latency(figures.queueWait),
                    runTime: ControlRPC.Latency(figures.runTime)
                )
            }
    }

    /// The figures of all methods as metrics have them, sorted by namespace and name; those of requests for no method that
    /// is served come last, without a name.
    func figures() -> [RPCServerFigures.Method] {
        let methods = self.methods.values.sorted {
            ($0.key.namespace ?? "", $0.key.name) < ($1.key.namespace ?? "", $1.key.name)
        }
        return (methods + [self.others]).map { method in
            let figures = method.change { $0 }
            return RPCServerFigures.Method(
                name: method.key.name,
                namespace: method.key.namespace,
                running: figures.running,
                outcomes: [
                    ("succeeded", figures.succeeded), ("expected_error", figures.expectedErrors),
                    ("unexpected_error", figures.unexpectedErrors), ("cancelled", figures.cancelled),
                    ("expired", figures.expired), ("duplicate", figures.duplicates),
                ],
                refusals: Self.byName(figures.refusals),
                retries: figures.retries,
                redeliveries: figures.redeliveries,
                deadLetters: Dictionary(
                    uniqueKeysWithValues: figures.deadLetters.map { ($0.key.rawValue, $0.value) }
                ),
                queueWait: RPCServerFigures.Distribution(figures.queueWait),
                runTime: RPCServerFigures.Distribution(figures.runTime)
            )
        }
    }

    /// What was refused without being a request for a method that is served, by the kind of refusal.
    func otherRefusals() -> [String: Int] {
        self.others.change { Self.byName($0.refusals) }
    }

    /// How many requests were refused, by kind; each kind is there.
    func totalRefusals() -> [String: Int] {
        var total = Dictionary(uniqueKeysWithValues: RefusalKind.allCases.map { ($0.rawValue, 0) })
        for method in [self.others] + self.methods.values {
            for (kind, count) in method.change(\.refusals) { total[kind.rawValue, default: 0] += count }
        }
        return total
    }

    /// How many requests were not run because their callers had given up, for methods that are not served.
    func otherExpired() -> Int {
        self.others.change(\.expired)
    }

    private static func byName(_ refusals: [RefusalKind: Int]) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: refusals.map { ($0.key.rawValue, $0.value) })
    }
}

extension ControlRPC.Latency {
    fileprivate init?(_ histogram: LatencyHistogram) {
        guard histogram.count > 0 else { return nil }
        self.init(
            count: Int(clamping: histogram.count),
            mean: histogram.mean.wireSeconds,
            p50: histogram.percentile(0.5).wireSeconds,
            p90: histogram.percentile(0.9).wireSeconds,
            p99: histogram.percentile(0.99).wireSeconds,
            max: histogram.maximum.wireSeconds
        )
    }
}
