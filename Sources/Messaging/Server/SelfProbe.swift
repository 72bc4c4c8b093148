internal import Logging
internal import Synchronization

/// What a server knows of one of its queues from the messages that it sends itself through it.
public struct SelfProbeStatus: Sendable, Hashable {
    /// Which of the server's ways it is: `host` or `fanout`.
    public let path: String
    /// The queue, as an operator knows it.
    public let queue: String
    /// How many messages were sent.
    public let sent: Int
    /// How many of them came back in time.
    public let returned: Int
    /// How long the last one that came back was under way; `nil` where none was.
    public let roundTrip: Duration?
    /// For how long nothing has come back of what is sent; `nil` where everything does.
    public let silence: Duration?
}

/// Sends a server tiny messages through its own host queue and its own fanout queue, and sees whether they come back.
///
/// Everything else that is known of a queue is what the broker once said. A message that comes back shows that the queue
/// takes and hands out, that the consumer lives, and that what arrives is admitted.
///
/// The host's message goes by the exchange, as any request for this host. The fanout's goes to the queue by its name:
/// through the exchange it would reach all hosts of the topic, and with hundreds of them each would have to deal with the
/// messages of all. What that leaves out is the binding, which the connection looks after by itself. Where the fanout is a
/// stream, which all hosts share, there is no such queue, and nothing is sent.
///
/// Each is an ordinary call, of a method that nobody serves, with a header that marks it. The server that sent it takes it
/// as its own and is done: no reply goes out, no handler runs, and nothing is counted as work. Another process of this
/// host's name, with which the queue is shared, answers it, be it with a failure as Python's does: then the queue works.
final class SelfProbe: Sendable {
    private struct Path {
        let name: String
        let queue: String
        let destination: Destination
        var sent = 0
        var returned = 0
        var roundTrip: Duration?
        /// When the first of those was sent that have not come back.
        var silentSince: ContinuousClock.Instant?
        /// What became of the last one that did not come back.
        var lastError: String?
        var isOverdue = false
    }

    /// A Python server refuses it; by the name's end it knows that this is not worth an error in its log.
    private static let method = "steward_self_probe_ignore_errors"

    private let interval: Duration
    private let paths = Mutex<[Path]>([])

    init(every interval: Duration) {
        self.interval = interval
    }

    /// How long nothing may come back before the server is not ready.
    ///
    /// A message that is lost, as it may be around a reconnect, must not be enough.
    var limit: Duration { self.interval * 2 + .seconds(2) }

    /// What is known of each queue.
    func statuses(at now: ContinuousClock.Instant) -> [SelfProbeStatus] {
        self.paths.withLock { paths in
            paths.map { path in
                SelfProbeStatus(
                    path: path.name,
                    queue: path.queue,
                    sent: path.sent,
                    returned: path.returned,
                    roundTrip: path.roundTrip,
                    silence: path.silentSince.map { now - $0 }
                )
            }
        }
    }

    /// Not ready where messages do not come back any more.
    func readiness(at now: ContinuousClock.Instant) -> Readiness {
        self.paths.withLock { paths in
            paths.reduce(.ready) { readiness, path in
                guard let since = path.silentSince, now - since > self.limit else { return readiness }
                let error = path.lastError.map { ": \($0)" } ?? ""
                let seconds = (now - since).components.seconds
                return readiness.and(
                    .notReady("the self-probe through \(path.queue) has not come back for \(seconds) s\(error)")
                )
            }
        }
    }

    // MARK: Sending

    /// Probes until the task is cancelled or the server stops.
    func run(_ server: RPCServer, fanoutQueue: String?) async {
        guard let host = server.target.server else { return }
        let target = server.target
        var paths = [
            Path(
                name: "host",
                queue: "\(target.topic).\(host)",
                destination: .server(host, topic: target.topic, exchange: target.exchange)
            )
        ]
        if let fanoutQueue {
            paths.append(Path(name: "fanout", queue: fanoutQueue, destination: .queue(fanoutQueue)))
        }
        self.paths.withLock { $0 = paths }
        while !Task.isCancelled, !server.isStopping {
            await self.probe(server, count: paths.count)
            let isSilent = self.paths.withLock { $0.contains { $0.silentSince != nil } }
            let isWell = server.transport.readiness.level == .ready && !isSilent
            do {
                // What was away may be back soon, and whoever waits for it wants to know.
                try await server.clock.sleep(isWell ? self.interval : min(self.interval, .seconds(1)))
            } catch {
                break
            }
        }
        // What stops is not ready for that reason, and no other.
        self.paths.withLock { $0 = [] }
    }

    private func probe(_ server: RPCServer, count: Int) async {
        // A broker that is away, or takes nothing, is known otherwise. And where every handler is busy the message would
        // wait behind the work: a busy server is not a deaf one.
        guard server.transport.readiness.level == .ready, server.intake.running < server.configuration.concurrency
        else {
            return self.paths.withLock { paths in
                for index in paths.indices { paths[index].silentSince = nil }
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<count {
                group.addTask { await self.probe(index, server) }
            }
        }
    }

    private func probe(_ index: Int, _ server: RPCServer) async {
        let clock = server.clock
        let start = clock.now
        let destination = self.paths.withLock { paths in
            paths[index].sent += 1
            if paths[index].silentSince == nil { paths[index].silentSince = start }
            return paths[index].destination
        }
        do {
            try await self.send(to: destination, server, deadline: start + self.interval)
            self.ended(index, server, roundTrip: clock.now - start, error: nil)
        } catch is CallWithdrawn {
            // The server stops.
        } catch {
            self.ended(index, server, roundTrip: nil, error: error)
        }
    }

    private func send(
        to destination: Destination,
        _ server: RPCServer,
        deadline: ContinuousClock.Instant
    ) async throws {
        let transport = server.transport
        let replyQueue = try await transport.openReplyQueue(deadline: deadline)
        let id = makeUniqueID()
        let message = Message(
            body: RequestPayload(
                method: Self.method,
                args: RawJSON(.object([:])),
                version: "1.0",
                messageID: id,
                replyQueue: replyQueue
            ).encoded(),
            // Where nobody takes them they must not pile up.
            timeToLive: self.interval,
            headers: [MessageHeader.probe: server.life.incarnation]
        )
        var options = SendOptions(isMandatory: true, deadline: deadline)
        options.confirmation = .patient
        let sending = options
        // Any answer will do: it came through the queue.
        _ = try await transport.replies.reply(
            to: id,
            deadline: deadline,
            monitorTimeout: nil,
            destination: destination,
            inspector: nil
        ) { completion in
            transport.post(message, to: destination, options: sending, onWritten: nil, completion: completion)
        }
    }

    private func ended(_ index: Int, _ server: RPCServer, roundTrip: Duration?, error: (any Error)?) {
        let now = server.clock.now
        let (change, queue): (Bool?, String) = self.paths.withLock { paths in
            guard index < paths.count else { return (nil, "") }
            if let roundTrip {
                paths[index].returned += 1
                paths[index].roundTrip = roundTrip
                paths[index].silentSince = nil
                paths[index].lastError = nil
            } else {
                paths[index].lastError = error.map { "\($0)" }
            }
            let isOverdue = paths[index].silentSince.map { now - $0 > self.limit } ?? false
            defer { paths[index].isOverdue = isOverdue }
            return (isOverdue == paths[index].isOverdue ? nil : isOverdue, paths[index].queue)
        }
        guard let change else { return }
        server.logger.info(
            change ? "self-probes do not come back" : "self-probes come back again",
            metadata: ["queue": "\(queue)", "error": "\(error.map { "\($0)" } ?? "-")"]
        )
    }
}

extension RPCServer {
    /// What the server knows of its own queues from the messages that it sends itself; empty where it sends none
    /// (``Configuration/selfProbeInterval``), and before it listens.
    public var selfProbes: [SelfProbeStatus] { self.selfProbe?.statuses(at: self.clock.now) ?? [] }

    /// Whether messages that the server sends itself come back.
    package var selfProbeReadiness: Readiness { self.selfProbe?.readiness(at: self.clock.now) ?? .ready }

    /// Serves, and probes itself meanwhile.
    func whileProbing(_ listener: any Listener, _ body: () async -> Void) async {
        guard let selfProbe = self.selfProbe else { return await body() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await selfProbe.run(self, fanoutQueue: listener.ownFanoutQueue) }
            await body()
            group.cancelAll()
        }
    }

    /// What becomes of a message that a server sent itself; see ``SelfProbe``.
    func examineProbe(_ delivery: Delivery) -> Work? {
        guard let request = try? self.configuration.limits.read(delivery) else {
            // It is no probe of ours, whatever it says, and there is nothing in it that could be answered.
            return nil
        }
        if let id = request.messageID, self.transport.replies.answer(id, .result(.null)) { return nil }
        guard delivery.headers[MessageHeader.probe] != self.life.incarnation,
            let address = ReplyAddress(messageID: request.messageID, queue: request.replyQueue)
        else {
            // Its time was over.
            return nil
        }
        return .answerProbe(address)
    }
}
