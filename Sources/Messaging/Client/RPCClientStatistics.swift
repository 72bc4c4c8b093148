internal import Synchronization

/// What the clients of a transport have sent, and what became of it, method by method.
///
/// A request costs three uncontended locks and a look-up here. Methods come from the program and not from its peers; still
/// there is a limit, for a client that makes up their names: what comes after it is counted together.
final class RPCClientStatistics: Sendable {
    /// So many methods have figures of their own.
    static let maximumMethods = 256

    /// How a request is sent that is no call.
    enum Sending: Int, CaseIterable {
        case cast, fanout, gather
    }

    /// How one ended.
    enum Ending {
        case succeeded
        /// No queue took it, which was no error.
        case unrouted
        /// Nobody awaited its confirm, and the connection was lost before it was written.
        case lost
        case cancelled
        case failed(RPCError.Code)

        /// What an error says; one that is not of this library is the service's own, which the client may throw.
        init(_ error: any Error) {
            switch error {
            case let error as RPCError: self = .failed(error.code)
            case is CancellationError: self = .cancelled
            default: self = .failed(.remote)
            }
        }
    }

    fileprivate struct Key: Hashable {
        let topic: String
        let namespace: String?
        let name: String
    }

    /// How many ended how.
    private struct Endings {
        var succeeded = 0
        var unrouted = 0
        var lost = 0
        var cancelled = 0
        var failed: [RPCError.Code: Int] = [:]

        mutating func count(_ ending: Ending) {
            switch ending {
            case .succeeded: self.succeeded += 1
            case .unrouted: self.unrouted += 1
            case .lost: self.lost += 1
            case .cancelled: self.cancelled += 1
            case .failed(let code): self.failed[code, default: 0] += 1
            }
        }

        /// Those that there were, by their names in metrics.
        var counts: [(name: String, count: Int)] {
            let failed = self.failed.map { ($0.key.metricName, $0.value) }.sorted { $0.0 < $1.0 }
            let others = [
                ("succeeded", self.succeeded), ("unrouted", self.unrouted), ("lost", self.lost),
                ("cancelled", self.cancelled),
            ]
            return others.filter { $0.1 > 0 } + failed
        }
    }

    private struct Figures {
        var running = 0
        var calls = Endings()
        var unreadable = 0
        var duration = LatencyHistogram()
        var sent = [Endings](repeating: Endings(), count: Sending.allCases.count)
    }

    /// One method's figures.
    final class Method: Sendable {
        fileprivate let key: Key
        private let figures = Mutex(Figures())

        fileprivate init(_ key: Key) {
            self.key = key
        }

        func beginCall() {
            self.figures.withLock { $0.running += 1 }
        }

        func endCall(_ ending: Ending, after duration: Duration) {
            self.figures.withLock { figures in
                figures.running -= 1
                figures.calls.count(ending)
                figures.duration.record(duration)
            }
        }

        func countUnreadable() {
            self.figures.withLock { $0.unreadable += 1 }
        }

        func count(_ sending: Sending, _ ending: Ending) {
            self.figures.withLock { $0.sent[sending.rawValue].count(ending) }
        }

        fileprivate var current: RPCClientFigures.Method {
            let figures = self.figures.withLock { $0 }
            return RPCClientFigures.Method(
                topic: self.key.topic,
                namespace: self.key.namespace,
                name: self.key.name,
                running: figures.running,
                calls: figures.calls.counts,
                unreadableResults: figures.unreadable,
                duration: RPCServerFigures.Distribution(figures.duration),
                sent: Sending.allCases.flatMap { sending in
                    figures.sent[sending.rawValue].counts.map { ("\(sending)", $0.name, $0.count) }
                }
            )
        }
    }

    private let methods = Mutex<[Key: Method]>([:])
    private let others = Method(Key(topic: "", namespace: nil, name: ""))

    /// The figures of a method; those that all others share, where there are too many.
    func method(_ name: String, namespace: String?, topic: String) -> Method {
        let key = Key(topic: topic, namespace: namespace, name: name)
        return self.methods.withLock { methods in
            if let method = methods[key] { return method }
            guard methods.count < Self.maximumMethods else { return self.others }
            let method = Method(key)
            methods[key] = method
            return method
        }
    }

    /// The figures of all methods, sorted; those of the others come last, if there are any.
    func figures() -> [RPCClientFigures.Method] {
        let methods = self.methods.withLock { Array($0.values) }
            .sorted {
                ($0.key.topic, $0.key.namespace ?? "", $0.key.name)
                    < ($1.key.topic, $1.key.namespace ?? "", $1.key.name)
            }
        return (methods.count < Self.maximumMethods ? methods : methods + [self.others]).map(\.current)
    }
}

/// What the clients of a transport have sent so far, for metrics.
package struct RPCClientFigures: Sendable {
    /// One method of one topic; without a name, all that came after the limit.
    package struct Method: Sendable {
        package let topic: String
        package let namespace: String?
        package let name: String
        /// Calls that wait for their results.
        package let running: Int
        /// How many calls ended how.
        package let calls: [(name: String, count: Int)]
        /// Results that are not what the method's contract says.
        package let unreadableResults: Int
        /// How long calls took, whatever their end.
        package let duration: RPCServerFigures.Distribution
        /// How many other requests were sent in which way, and ended how.
        package let sent: [(way: String, outcome: String, count: Int)]
    }

    package let methods: [Method]
    /// Replies that came for calls that had ended before.
    package let lateReplies: Int
    /// Casts whose confirm nobody awaits, and which are not written yet.
    package let unwrittenCasts: Int
}

extension ReplyRouter {
    /// What the clients of the transport have sent so far.
    package var clientFigures: RPCClientFigures {
        RPCClientFigures(
            methods: self.statistics.figures(),
            lateReplies: self.lateReplies,
            unwrittenCasts: self.unwritten.count
        )
    }
}

extension RPCError.Code {
    /// The code as metrics have their words: in small letters, with underscores.
    var metricName: String {
        guard self != .remote else { return "remote_error" }
        return self.description.reduce(into: "") { name, character in
            name += character.isUppercase ? "_" + character.lowercased() : String(character)
        }
    }
}
