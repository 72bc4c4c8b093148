import Foundation
import Glibc
import Synchronization

/// A TCP proxy on a loopback port that hurts the connections through it in the ways of a network.
///
/// Each connection has a thread for each direction, with blocking calls and bounded waits. It knows the frames of AMQP, so that
/// it can cut at, or inside of, a chosen one; connections over TLS are passed on as they are (`seesFrames: false`).
package final class FaultProxy: Sendable {
    /// A way of the bytes.
    package enum Direction: Sendable, Hashable, CaseIterable { case toBroker, toClient }

    /// How the bytes of one direction go.
    package struct Flow: Sendable {
        /// Bytes are read and thrown away: the peer that sends them sees nothing of it.
        ///
        /// A connection that has lost some stays deaf in that direction: no network leaves bytes out in its midst.
        package var isSwallowed = false
        /// Bytes are not read at all, so that the sender's buffers fill up.
        package var isStalled = false
        /// How much later bytes arrive.
        package var delay: Duration = .zero
        /// How many bytes a second pass; `nil` for all.
        package var bytesPerSecond: Int?

        /// Everything passes at once.
        package init() {}
    }

    /// What becomes of new connections.
    package enum Admission: Sendable { case forward, reset, blackHole }

    /// A whole frame on its way.
    package struct Frame: Sendable {
        package let direction: Direction
        package let type: UInt8
        package let channel: UInt16
        package let payload: [UInt8]

        /// The class and number of a method, as `0x003C_0028` for `basic.publish`.
        package var method: UInt32? {
            guard self.type == 1, self.payload.count >= 4 else { return nil }
            return self.payload[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
    }

    /// What is done with a frame.
    package enum Verdict: Sendable { case pass, drop, cutBefore, cutInside, cutAfter }

    private struct State {
        var flows: [Direction: Flow] = [.toBroker: Flow(), .toClient: Flow()]
        var admission = Admission.forward
        var rule: (@Sendable (Frame) -> Verdict)?
        var observer: (@Sendable (ContinuousClock.Instant) -> Void)?
        var pairs: [Int: (client: Int32, broker: Int32)] = [:]
        /// The brokers' sides of connections whose clients are gone without a word.
        var abandoned: Set<Int32> = []
        var accepted = 0
        var isClosed = false
        var bytes: [Direction: Int] = [:]
    }

    /// How long a direction without bytes waits before it looks whether it still has to, in milliseconds.
    ///
    /// Hundreds of them look at one lock: with a tenth of this the proxy took more of a processor than 200 workers behind it.
    private static let pollInterval: Int32 = 200

    /// The port of loopback on which it listens.
    package let port: Int
    private let target: (host: String, port: Int)
    private let seesFrames: Bool
    private let listener: Int32
    private let state = Mutex(State())

    /// Listens before a broker, or whatever else listens on loopback.
    package init(to host: String = "127.0.0.1", port: Int, seesFrames: Bool = true) throws {
        self.target = (host, port)
        self.seesFrames = seesFrames
        (self.listener, self.port) = try Loopback.listen()
        PosixThread.detach { self.acceptConnections() }
    }

    /// Lends a proxy; afterwards all its connections are gone.
    package static func with<Result>(
        to host: String = "127.0.0.1",
        port: Int,
        seesFrames: Bool = true,
        _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let proxy = try FaultProxy(to: host, port: port, seesFrames: seesFrames)
        defer { proxy.close() }
        return try await body(proxy)
    }

    /// Lends a proxy before the broker of a URL, and the URL by which it is reached.
    package static func with<Result>(
        before url: String,
        _ body: (_ proxy: FaultProxy, _ url: String) async throws -> Result
    ) async throws -> Result {
        guard var parts = URLComponents(string: url), let host = parts.host else {
            throw Loopback.Failure(description: "no URL of a broker: \(url)")
        }
        return try await self.with(to: host, port: parts.port ?? 5672) { proxy in
            parts.host = "127.0.0.1"
            parts.port = proxy.port
            guard let url = parts.string else { throw Loopback.Failure(description: "no URL") }
            return try await body(proxy, url)
        }
    }

    /// How many connections came so far.
    package var accepted: Int { self.state.withLock(\.accepted) }
    /// How many connections there are.
    package var connections: Int { self.state.withLock(\.pairs.count) }
    /// How many bytes came from the sender of a direction, swallowed ones included.
    package func bytes(_ direction: Direction) -> Int { self.state.withLock { $0.bytes[direction] ?? 0 } }

    /// Changes how bytes go, of connections that are there too; in both directions where none is named.
    package func change(_ direction: Direction? = nil, _ body: (inout Flow) -> Void) {
        self.state.withLock { state in
            for each in direction.map({ [$0] }) ?? Direction.allCases {
                var flow = state.flows[each] ?? Flow()
                body(&flow)
                state.flows[each] = flow
            }
        }
    }

    /// Lets everything pass again.
    package func heal() {
        self.state.withLock {
            $0.flows = [.toBroker: Flow(), .toClient: Flow()]
            $0.admission = .forward
            $0.rule = nil
        }
    }

    /// Changes what becomes of new connections.
    package func admit(_ admission: Admission) {
        self.state.withLock { $0.admission = admission }
    }

    /// Asks a rule about every frame from now on, under the proxy's lock: it must return at once.
    package func onFrame(_ rule: (@Sendable (Frame) -> Verdict)?) {
        self.state.withLock { $0.rule = rule }
    }

    /// Has a closure called for every connection that reaches the broker, with when it came.
    package func onForward(_ observer: @escaping @Sendable (ContinuousClock.Instant) -> Void) {
        self.state.withLock { $0.observer = observer }
    }

    /// Resets every connection; new ones are taken.
    package func cut() {
        self.state.withLock { state in
            for pair in state.pairs.values { Self.reset(pair) }
        }
    }

    /// Resets every connection on its client's side, while the broker goes on believing in it: as after the loss of a network
    /// that only the client noticed.
    package func abandon() {
        self.state.withLock { state in
            for pair in state.pairs.values {
                if pair.broker >= 0 { state.abandoned.insert(pair.broker) }
                Self.reset((pair.client, -1))
            }
        }
    }

    /// Resets every connection and takes no more.
    package func close() {
        self.state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            shutdown(self.listener, Int32(SHUT_RDWR))
            Glibc.close(self.listener)
            for pair in state.pairs.values { Self.reset(pair) }
            for descriptor in state.abandoned { Glibc.close(descriptor) }
            state.abandoned = []
        }
    }

    // MARK: Threads

    private func isAbandoned(_ descriptor: Int32) -> Bool {
        self.state.withLock { $0.abandoned.contains(descriptor) }
    }

    private static func reset(_ pair: (client: Int32, broker: Int32)) {
        for descriptor in [pair.client, pair.broker] where descriptor >= 0 {
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            shutdown(descriptor, Int32(SHUT_RDWR))
        }
    }

    private func acceptConnections() {
        while true {
            let client = accept(self.listener, nil, nil)
            guard client >= 0 else { return }
            let (number, admission) = self.state.withLock { state in
                state.accepted += 1
                return (state.accepted, state.admission)
            }
            switch admission {
            case .forward, .blackHole:
                // By a thread of its own: while a busy broker is connected to, others are accepted when they come.
                PosixThread.detach { self.admit(number, client, isForwarded: admission == .forward) }
            case .reset:
                Self.reset((client, -1))
                Glibc.close(client)
            }
        }
    }

    /// Connects an accepted client with the broker, or with nothing, until either is gone.
    private func admit(_ number: Int, _ client: Int32, isForwarded: Bool) {
        let came = ContinuousClock.now
        let broker = isForwarded ? Loopback.connect(self.target.host, self.target.port) : -1
        let (isWanted, observer) = self.state.withLock { state in
            guard !state.isClosed, broker >= 0 || !isForwarded else { return (false, state.observer) }
            state.pairs[number] = (client, broker)
            return (true, state.observer)
        }
        guard isWanted else {
            Glibc.close(client)
            if broker >= 0 { Glibc.close(broker) }
            return
        }
        if broker >= 0 { observer?(came) }
        self.serve(number, client, broker)
    }

    private func serve(_ number: Int, _ client: Int32, _ broker: Int32) {
        let back = DispatchSemaphore(value: 0)
        if broker >= 0 {
            PosixThread.detach {
                self.pump(.toClient, from: broker, to: client)
                back.signal()
            }
        }
        self.pump(.toBroker, from: client, to: broker)
        if broker >= 0 { back.wait() }
        self.state.withLock { state in
            state.pairs[number] = nil
            Glibc.close(client)
            if broker >= 0, !state.abandoned.contains(broker) { Glibc.close(broker) }
        }
    }

    /// Carries the bytes of one direction until either end is gone.
    private func pump(_ direction: Direction, from source: Int32, to sink: Int32) {
        var cutter = FrameCutter(direction)
        var hasLost = false
        defer {
            for descriptor in [source, sink] where descriptor >= 0 && !self.isAbandoned(descriptor) {
                shutdown(descriptor, Int32(SHUT_RDWR))
            }
        }
        while true {
            var polled = pollfd(fd: source, events: Int16(POLLIN), revents: 0)
            let isReadable = poll(&polled, 1, Self.pollInterval) > 0
            let (flow, isAbandoned) = self.state.withLock {
                ($0.flows[direction] ?? Flow(), $0.abandoned.contains(source))
            }
            if isAbandoned { return }
            guard !flow.isStalled else {
                if Loopback.isGone(source) { return }
                usleep(10_000)
                continue
            }
            guard isReadable else { continue }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(source, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            let rule = self.state.withLock { state in
                state.bytes[direction, default: 0] += count
                return state.rule
            }
            var (bytes, isCut) =
                self.seesFrames ? cutter.judge(buffer[..<count], by: rule) : (buffer[..<count], false)
            if flow.delay > .zero {
                usleep(useconds_t(flow.delay / .microseconds(1)))
            }
            let now = self.state.withLock { $0.flows[direction] ?? Flow() }
            hasLost = hasLost || now.isSwallowed
            if !hasLost, sink >= 0 {
                while !bytes.isEmpty {
                    // Asked anew for each part: a slow network may be healed in the midst of a long message.
                    let limit = self.state.withLock { $0.flows[direction]?.bytesPerSecond }
                    let part = limit.map { bytes.prefix(max(1, $0 / 20)) } ?? bytes
                    guard Loopback.send(Array(part), to: sink) else { return }
                    bytes = bytes.dropFirst(part.count)
                    if limit != nil { usleep(50_000) }
                }
            }
            if isCut {
                Self.reset((source, sink))
                return
            }
        }
    }
}

/// Follows the frames in a stream of bytes, and takes out or cuts off what a rule says.
private struct FrameCutter {
    let direction: FaultProxy.Direction
    /// What may be the beginning of a frame that a rule has not judged yet.
    private var held: [UInt8] = []
    /// The protocol's header, by which a client begins (AMQP 0-9-1, section 2.3.3).
    private var headerLeft: Int

    init(_ direction: FaultProxy.Direction) {
        self.direction = direction
        self.headerLeft = direction == .toBroker ? 8 : 0
    }

    /// Says which bytes pass, and whether the connection ends after them.
    ///
    /// Without a rule everything passes at once, and only the place in the frame is kept.
    mutating func judge(
        _ bytes: ArraySlice<UInt8>,
        by rule: (@Sendable (FaultProxy.Frame) -> FaultProxy.Verdict)?
    ) -> (ArraySlice<UInt8>, isCut: Bool) {
        var passed: [UInt8] = []
        var rest = bytes
        if self.headerLeft > 0 {
            let header = rest.prefix(self.headerLeft)
            passed += header
            self.headerLeft -= header.count
            rest = rest.dropFirst(header.count)
        }
        self.held += rest
        var start = 0
        // Behind a frame that passed in part, because there was no rule yet, its end passes too.
        while self.held.count - start >= 7 {
            let size = self.held[(start + 3)..<(start + 7)].reduce(0) { $0 << 8 | Int($1) }
            let end = start + 7 + size + 1
            guard end <= self.held.count else { break }
            let frame = FaultProxy.Frame(
                direction: self.direction,
                type: self.held[start],
                channel: UInt16(self.held[start + 1]) << 8 | UInt16(self.held[start + 2]),
                payload: Array(self.held[(start + 7)..<(end - 1)])
            )
            switch rule?(frame) ?? .pass {
            case .pass: passed += self.held[start..<end]
            case .drop: break
            case .cutBefore: return (passed[...], true)
            case .cutInside:
                passed += self.held[start..<(start + max(1, (end - start) / 2))]
                return (passed[...], true)
            case .cutAfter:
                passed += self.held[start..<end]
                return (passed[...], true)
            }
            start = end
        }
        self.held.removeFirst(start)
        return (passed[...], false)
    }
}
