internal import Synchronization

/// What the clients of a transport have sent, and what became of it, method by method.
///
/// A call costs two uncontended locks here, a cast one, and a look-up that mostly is a comparison. Methods come from the
/// program and not from its peers; still there is a limit, for a client that makes up their names: what comes after it is
/// counted together.
final class RPCClientStatistics: Sendable {
    /// So many methods have figures of their own.
    static let maximumMethods = 256

    /// Where a method's figures are.
    struct Place: Sendable {
        fileprivate let index: Int
    }

    /// How a request is sent that is no call.
    enum Sending {
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

    private struct Key: Hashable {
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
        var casts = Endings()
        var fanouts = Endings()
        var gatherings = Endings()

        mutating func count(_ sending: Sending, _ ending: Ending) {
            switch sending {
            case .cast: self.casts.count(ending)
            case .fanout: self.fanouts.count(ending)
            case .gather: self.gatherings.count(ending)
            }
        }
    }

    private struct State {
        /// Those of the others come first.
        var keys = [Key(topic: "", namespace: nil, name: "")]
        var figures = [Figures()]
        var places: [Key: Int] = [:]
        /// The place that was asked for last, by how long the names are: to hash them takes longer than all the rest.
        var recent = [Int](repeating: 0, count: 64)

        mutating func place(of key: Key) -> Int {
            let slot = (key.name.utf8.count &* 7 &+ key.topic.utf8.count) & 63
            let recent = self.recent[slot]
            if recent > 0, self.keys[recent] == key { return recent }
            guard let place = self.places[key] ?? self.add(key) else { return 0 }
            self.recent[slot] = place
            return place
        }

        private mutating func add(_ key: Key) -> Int? {
            guard self.places.count < RPCClientStatistics.maximumMethods else { return nil }
            let place = self.keys.count
            self.keys.append(key)
            self.figures.append(Figures())
            self.places[key] = place
            return place
        }
    }

    private let state = Mutex(State())

    // MARK: Counting

    /// A call begins.
    ///
    /// - Returns: What ``endCall(_:_:after:)`` needs.
    func beginCall(_ name: String, namespace: String?, topic: String) -> Place {
        self.state.withLock { state in
            let place = state.place(of: Key(topic: topic, namespace: namespace, name: name))
            state.figures[place].running += 1
            return Place(index: place)
        }
    }

    /// A call has ended.
    func endCall(_ place: Place, _ ending: Ending, after duration: Duration) {
        self.state.withLock { state in
            state.figures[place.index].running -= 1
            state.figures[place.index].calls.count(ending)
            state.figures[place.index].duration.record(duration)
        }
    }

    /// A call has ended with a result that cannot be read.
    func countUnreadable(_ name: String, namespace: String?, topic: String) {
        self.state.withLock { state in
            let place = state.place(of: Key(topic: topic, namespace: namespace, name: name))
            state.figures[place].unreadable += 1
        }
    }

    /// A request that is no call was sent, or was not.
    func count(_ sending: Sending, _ ending: Ending, _ name: String, namespace: String?, topic: String) {
        self.state.withLock { state in
            let place = state.place(of: Key(topic: topic, namespace: namespace, name: name))
            state.figures[place].count(sending, ending)
        }
    }

    // MARK: Reading

    /// The figures of all methods, sorted; those of the others come last, if there are any.
    func figures() -> [RPCClientFigures.Method] {
        let state = self.state.withLock { $0 }
        let methods = zip(state.keys, state.figures).dropFirst().sorted { one, other in
            (one.0.topic, one.0.namespace ?? "", one.0.name) < (other.0.topic, other.0.namespace ?? "", other.0.name)
        }
        let isFull = methods.count == Self.maximumMethods
        return (isFull ? methods + [(state.keys[0], state.figures[0])] : methods).map { key, figures in
            RPCClientFigures.Method(
                topic: key.topic,
                namespace: key.namespace,
                name: key.name,
                running: figures.running,
                calls: figures.calls.counts,
                unreadableResults: figures.unreadable,
                duration: RPCServerFigures.Distribution(figures.duration),
                sent: [("cast", figures.casts), ("fanout", figures.fanouts), ("gather", figures.gatherings)].flatMap {
                    way,
                    endings in endings.counts.map { (way, $0.name, $0.count) }
                }
            )
        }
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
