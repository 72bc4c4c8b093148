internal import Glibc
internal import ServiceRuntime
internal import Synchronization

/// A small HTTP surface on a thread of its own.
///
/// A thread, because its answers are wanted most when nothing else moves: an HTTP server that runs on the shared pool is
/// silenced by the first handlers that hold the pool's threads, and with it every word of what is wrong. What answers must
/// return at once.
///
/// All is bounded: a number of connections, of which the oldest makes room for a new one; a request's head; and the time of
/// each connection. One connection carries one request.
///
/// `@unchecked Sendable`: descriptors are set at the start, and the listening one is closed by the thread; `connections` is the thread's alone.
final class HealthListener: @unchecked Sendable {
    /// As many connections are served at once.
    static let maximumConnections = 32
    /// A connection may take so many seconds, all in all.
    static let patience = 5

    private struct Connection {
        let descriptor: Int32
        var input: [UInt8] = []
        var output: [UInt8] = []
        var isAnswered = false
        /// The answer is written; what the client still sends is read and dropped, so that the answer is not lost with it.
        var isDone = false
        var age = 0
    }

    /// Why it does not listen.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let answer: @Sendable (HTTPRequest) -> HTTPResponse
    private let tick: @Sendable () -> Void
    private let listening: Int32?
    private let wakeReader: Int32
    private let wake: Int32
    private let isStopped = Atomic(false)
    private var connections: [Connection] = []
    /// Let go of where the process has no descriptor left, as a probe should learn of just that; below zero while it is.
    private var spare = HealthListener.openSpare()
    /// The port that is listened on.
    let port: Int?

    /// Listens; nothing is answered before ``start()``.
    ///
    /// - Parameters:
    ///   - address: An IP address and a port; 0 for any free one. `nil` for a thread that only ticks.
    ///   - tick: Called once a second, on the thread.
    ///   - answer: What is answered, on the thread.
    /// - Throws: ``Failure`` where the address is none, or taken.
    init(
        address: (text: String, port: Int)?,
        tick: @escaping @Sendable () -> Void,
        answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse
    ) throws(Failure) {
        self.answer = answer
        self.tick = tick
        if let address {
            let (listening, port) = try Self.listen(address.text, address.port)
            self.listening = listening
            self.port = port
        } else {
            self.listening = nil
            self.port = nil
        }
        var ends: [Int32] = [-1, -1]
        // Without it the thread notices its end a second later.
        if pipe(&ends) == 0 { ends.forEach(Self.prepare) }
        (self.wakeReader, self.wake) = (ends[0], ends[1])
    }

    deinit {
        // Not by the thread: who stops it may still be about to wake it.
        if self.wake >= 0 { close(self.wake) }
        if self.wakeReader >= 0 { close(self.wakeReader) }
        if self.spare >= 0 { close(self.spare) }
    }

    private static func listen(_ text: String, _ port: Int) throws(Failure) -> (Int32, Int) {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(text, "\(port)", &hints, &found) == 0, let info = found?.pointee else {
            throw Failure(description: "'\(text)' is no IP address")
        }
        defer { freeaddrinfo(found) }
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(info.ai_family, flags, 0)
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard descriptor >= 0, setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size) == 0,
            bind(descriptor, info.ai_addr, info.ai_addrlen) == 0,
            Glibc.listen(descriptor, 64) == 0
        else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw Failure(description: "cannot listen on \(text), port \(port): \(reason)")
        }
        var bound = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isKnown = withUnsafeMutablePointer(to: &bound) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) == 0 }
        }
        // The port stands at the same place in the addresses of both families.
        let raw = withUnsafeBytes(of: &bound) { $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self) }
        return (descriptor, isKnown ? Int(UInt16(bigEndian: raw)) : port)
    }

    /// Starts the thread, which holds this listener until ``stop()``.
    func start() throws(Failure) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let context = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let status = pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument else { return nil }
                // Signals are for those who wait for them.
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_BLOCK, &all, nil)
                Unmanaged<HealthListener>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        guard status == 0 else {
            context.release()
            throw Failure(description: "no thread could be started: \(String(cString: strerror(status)))")
        }
    }

    /// Ends the thread soon; returns at once.
    func stop() {
        self.isStopped.store(true, ordering: .releasing)
        var one: UInt8 = 1
        // It can only fail where the thread is going to wake anyway.
        _ = write(self.wake, &one, 1)
    }

    // MARK: The thread

    private func run() {
        var nextTick = Self.now
        while !self.isStopped.load(ordering: .acquiring) {
            let now = Self.now
            if now >= nextTick {
                // A process that was frozen has not slept on purpose: what it missed does not count.
                nextTick = now + 1000
                self.tick()
                self.growOld()
            }
            self.wait(milliseconds: Int32(clamping: max(1, nextTick - now)))
        }
        for connection in self.connections { close(connection.descriptor) }
        if let listening = self.listening { close(listening) }
    }

    /// A descriptor that no child inherits and no call waits for.
    private static func prepare(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    /// Milliseconds of the monotonic clock.
    private static var now: Int64 {
        Int64(SuspendingClock().systemEpoch.duration(to: .now) / .milliseconds(1))
    }

    private func growOld() {
        for index in self.connections.indices { self.connections[index].age += 1 }
        self.remove { $0.age > Self.patience }
    }

    private func remove(where isGone: (Connection) -> Bool) {
        self.connections.removeAll { connection in
            guard isGone(connection) else { return false }
            close(connection.descriptor)
            return true
        }
        if self.spare < 0 { self.spare = Self.openSpare() }
    }

    private static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }

    private func wait(milliseconds: Int32) {
        var descriptors = self.connections.map { connection in
            let events = connection.isAnswered && !connection.isDone ? POLLOUT : POLLIN
            return pollfd(fd: connection.descriptor, events: Int16(events), revents: 0)
        }
        let count = descriptors.count
        // A descriptor below zero is passed over.
        descriptors.append(pollfd(fd: self.listening ?? -1, events: Int16(POLLIN), revents: 0))
        descriptors.append(pollfd(fd: self.wakeReader, events: Int16(POLLIN), revents: 0))
        guard poll(&descriptors, nfds_t(descriptors.count), milliseconds) > 0 else { return }
        var gone: Set<Int32> = []
        for index in 0..<count where descriptors[index].revents != 0 {
            if !self.serve(&self.connections[index]) { gone.insert(self.connections[index].descriptor) }
        }
        self.remove { gone.contains($0.descriptor) }
        if descriptors[count].revents != 0 { self.accept() }
    }

    private func accept() {
        guard let listening = self.listening else { return }
        var descriptor = Glibc.accept(listening, nil, nil)
        if descriptor < 0, errno == EMFILE || errno == ENFILE {
            if self.spare >= 0 {
                close(self.spare)
                self.spare = -1
            } else if !self.connections.isEmpty {
                close(self.connections.removeFirst().descriptor)
            }
            descriptor = Glibc.accept(listening, nil, nil)
            // Without descriptors the one that waits would be reported again at once.
            if descriptor < 0 { usleep(50_000) }
        }
        guard descriptor >= 0 else { return }
        Self.prepare(descriptor)
        if self.connections.count >= Self.maximumConnections {
            close(self.connections.removeFirst().descriptor)
        }
        self.connections.append(Connection(descriptor: descriptor))
    }

    /// Goes on with a connection; answers whether it goes on.
    private func serve(_ connection: inout Connection) -> Bool {
        if !connection.isAnswered || connection.isDone {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(connection.descriptor, &buffer, buffer.count, 0)
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            guard count > 0 else { return false }
            if connection.isDone { return true }
            connection.input += buffer.prefix(count)
            switch HTTPRequest.read(connection.input) {
            case .unfinished: return true
            case .request(let request): connection.output = self.response(to: request)
            case .refused(let status): connection.output = HTTPResponse(status).encoded(withBody: true)
            }
            connection.input = []
            connection.isAnswered = true
        }
        let count = send(connection.descriptor, connection.output, connection.output.count, Int32(MSG_NOSIGNAL))
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        connection.output.removeFirst(count)
        if connection.output.isEmpty {
            connection.isDone = true
            shutdown(connection.descriptor, Int32(SHUT_WR))
        }
        return true
    }

    private func response(to request: HTTPRequest) -> [UInt8] {
        guard request.method == "GET" || request.method == "HEAD" else {
            return HTTPResponse(.methodNotAllowed).encoded(withBody: true)
        }
        return self.answer(request).encoded(withBody: request.method == "GET")
    }
}
