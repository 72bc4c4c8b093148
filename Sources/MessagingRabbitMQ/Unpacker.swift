internal import Compression
internal import Messaging
internal import Synchronization

/// Decompresses bodies before they are handed up (wire contract 2.2).
///
/// What is not compressed passes through at once. What is waits its turn, one at a time and away from the connection's
/// thread, on which heartbeats depend: a peer may have packed gigabytes into a few bytes.
final class Unpacker: Sendable {
    /// The largest body after decompression.
    static let limit = 128 << 20

    private struct State {
        var waiting: [Delivery] = []
        var worker: Task<Void, Never>?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let hand: @Sendable ([Delivery]) -> Void

    /// - Parameter hand: Gets what has arrived, ready to be read.
    init(_ hand: @escaping @Sendable ([Delivery]) -> Void) {
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
            guard state.worker == nil else { return }
            // Not a task group: it begins with a message, and ``close()`` ends and awaits it.
            state.worker = Task { await self.work() }
        }
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
            let delivery = await Self.unpacked(next)
            guard !Task.isCancelled else { return }
            self.hand([delivery])
        }
    }

    private func next() -> Delivery? {
        self.state.withLock { state in
            guard !state.waiting.isEmpty, !state.isClosed else {
                state.worker = nil
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// The delivery with its body decompressed; where that fails, as it came with the reason, for the receiver to refuse
    /// by its own rules (wire contract 3.1).
    private static func unpacked(_ delivery: Delivery) async -> Delivery {
        guard let name = delivery.compression else { return delivery }
        guard let algorithm = CompressionAlgorithm(named: name) else { return delivery }
        do {
            let body = try await algorithm.decompress(delivery.body, limit: Self.limit)
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
