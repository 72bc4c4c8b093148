internal import Compression
internal import Messaging
internal import Synchronization

/// Decompresses bodies before they are handed up (wire contract 2.2).
///
/// What is not compressed passes through at once. What is waits its turn, one at a time and away from the connection's
/// thread, on which heartbeats depend: a peer may have packed gigabytes into a few bytes.
///
/// For a server, which takes its time, bodies are decompressed only while those that were handed up and are not settled
/// are less than the limit for one: twice the limit is all that is held, however much a peer has packed. A request that
/// is acknowledged at its end counts until then.
final class Unpacker: Sendable {
    /// The largest body after decompression; a server's own limit comes after it.
    static let limit = 128 << 20

    private struct State {
        var waiting: [Delivery] = []
        var worker: Task<Void, Never>?
        var isClosed = false
        /// The sizes of the bodies that were decompressed, handed up and not settled, and their sum.
        var unsettled: [Delivery.Token: Int] = [:]
        var size = 0
    }

    private let state = Mutex(State())
    private let hand: @Sendable ([Delivery]) -> Void

    private let limit: Int
    private let awaitsSettling: Bool

    /// - Parameters:
    ///   - limit: The largest body after decompression.
    ///   - awaitsSettling: Whether ``settled(_:)`` tells what became of each; without it all is handed up at once.
    ///   - hand: Gets what has arrived, ready to be read.
    init(
        limit: Int = Unpacker.limit,
        awaitsSettling: Bool,
        _ hand: @escaping @Sendable ([Delivery]) -> Void
    ) {
        self.limit = limit
        self.awaitsSettling = awaitsSettling
        self.hand = hand
    }

    /// Takes what has arrived; returns at once.
    func receive(_ deliveries: [Delivery]) {
        guard deliveries.contains(where: { $0.compression != nil }) else { return self.hand(deliveries) }
        let ready = deliveries.filter { $0.compression == nil }
        if !ready.isEmpty { self.hand(ready) }
        self.state.withLock { state in
            guard !state.isClosed else { return }
            state.waiting += deliveries.filter { $0.compression != nil }
            self.wake(&state)
        }
    }

    /// Notes that deliveries were acknowledged or rejected, or that it was tried: the receiver has done with them.
    func settled(_ deliveries: [Delivery]) {
        self.state.withLock { state in
            guard !state.unsettled.isEmpty else { return }
            for delivery in deliveries { state.size -= state.unsettled.removeValue(forKey: delivery.token) ?? 0 }
            self.wake(&state)
        }
    }

    private func wake(_ state: inout State) {
        guard state.worker == nil, self.mayGoOn(state) else { return }
        // Not a task group: it begins with a message, and ``close()`` ends and awaits it.
        state.worker = Task { await self.work() }
    }

    private func mayGoOn(_ state: State) -> Bool {
        !state.waiting.isEmpty && !state.isClosed && state.size < self.limit
    }

    /// Ends it: when this returns, nothing more is handed up.
    func close() async {
        let worker = self.state.withLock { state in
            state.isClosed = true
            state.waiting = []
            return state.worker
        }
        worker?.cancel()
        await worker?.value
    }

    private func work() async {
        while let next = self.next() {
            let delivery = await self.unpacked(next)
            guard !Task.isCancelled else { return }
            self.count(delivery)
            self.hand([delivery])
        }
    }

    private func next() -> Delivery? {
        self.state.withLock { state in
            guard self.mayGoOn(state) else {
                state.worker = nil
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// Before it is handed up, since it may be settled at once.
    private func count(_ delivery: Delivery) {
        // What could not be decompressed is as small as it came.
        guard self.awaitsSettling, delivery.compression == nil else { return }
        self.state.withLock { state in
            state.unsettled[delivery.token] = delivery.body.count
            state.size += delivery.body.count
        }
    }

    /// The delivery with its body decompressed; where that fails, as it came with the reason, for the receiver to refuse
    /// by its own rules (wire contract 3.1).
    private func unpacked(_ delivery: Delivery) async -> Delivery {
        guard let name = delivery.compression else { return delivery }
        guard let algorithm = CompressionAlgorithm(named: name) else { return delivery }
        do {
            let body = try await algorithm.decompress(delivery.body, limit: self.limit)
            return delivery.with(body: body, compression: nil)
        } catch {
            return delivery.with(body: delivery.body, compression: "\(name.prefix(32)): \(error)")
        }
    }
}

extension Delivery {
    fileprivate func with(body: [UInt8], compression: String?) -> Delivery {
        Delivery(
            body: body,
            contentType: self.contentType,
            contentEncoding: self.contentEncoding,
            compression: compression,
            // Whoever passes the message on, passes on the body as it is now.
            headers: compression == nil ? self.headers.filter { $0.key != "compression" } : self.headers,
            userID: self.userID,
            queue: self.queue,
            timeToLive: self.timeToLive,
            isRedelivered: self.isRedelivered,
            receivedAt: self.receivedAt,
            token: self.token
        )
    }
}
