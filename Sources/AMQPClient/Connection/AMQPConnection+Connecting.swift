import Logging
import Synchronization

/// Where the thread that opens a socket leaves the handle, unless nobody waits for it any more.
private final class HandleBox: Sendable {
    private struct Contents: ~Copyable {
        var handle: ConnectionHandle?
        var isAbandoned = false
    }

    private let contents = Mutex(Contents())

    func put(_ handle: consuming ConnectionHandle) {
        var handle = Optional(handle)
        self.contents.withLock { contents in
            if !contents.isAbandoned {
                contents.handle = handle.take()
            }
        }
    }

    /// What was put in; nothing can be put in afterwards.
    func take() -> ConnectionHandle? {
        self.contents.withLock { contents in
            contents.isAbandoned = true
            return contents.handle.take()
        }
    }
}

extension AMQPConnection {
    /// The first connection: rounds over the hosts until one answers, the time is over, or a repetition cannot help.
    func connectFirst(until deadline: ContinuousClock.Instant?) async throws(AMQPError) {
        self.connectAttempt = 0
        var told: AMQPError.Code?
        while true {
            do {
                return try await self.connectToAnyHost(until: deadline)
            } catch {
                guard self.phase == .opening else { throw self.closedError("open") }
                guard error.isRetriable, let deadline, .now < deadline else { throw error }
                // Once for each reason: a service may wait for days.
                let level: Logger.Level = told == error.code ? .debug : .info
                told = error.code
                self.logger.log(level: level, "AMQP broker not reachable yet", metadata: ["error": "\(error)"])
                await self.backOff(until: min(deadline, .now + self.nextBackoff()), unless: .opening)
                guard self.phase == .opening else { throw self.closedError("open") }
                guard .now < deadline else { throw error }
                if Task.isCancelled {
                    throw AMQPError(.cancelled, operation: "open", message: "the waiting task was cancelled")
                }
            }
        }
    }

    func nextBackoff() -> Duration {
        var generator = SystemRandomNumberGenerator()
        let pause = self.configuration.backoff.delay(attempt: self.connectAttempt, using: &generator)
        self.connectAttempt += 1
        return pause
    }

    /// How long a host may say nothing.
    ///
    /// One that is slow is not to be out of reach for ever: every fifth round is patient, and so is a program that starts and
    /// has no other host.
    private var silenceLimit: Duration {
        let isPatient =
            self.failedRounds % 5 == 4 || (self.phase == .opening && self.configuration.hosts.count == 1)
        return isPatient
            ? self.configuration.connectTimeout : min(self.configuration.connectTimeout, self.configuration.hostTimeout)
    }

    /// One round: every host once, beginning with the one that worked last, and those that failed last at the end.
    func connectToAnyHost(until deadline: ContinuousClock.Instant?) async throws(AMQPError) {
        let hosts = self.configuration.hosts
        let phase = self.phase
        self.attemptBegan = .now
        var failure: AMQPError?
        var others = (1..<hosts.count).map { (self.hostIndex + $0) % hosts.count }
        if self.configuration.hostOrder == .random {
            others.shuffle()
        }
        for index in self.configuration.health.sorted([self.hostIndex] + others, of: hosts) {
            let limit = ContinuousClock.now + self.configuration.connectTimeout
            do {
                try await self.connect(to: hosts[index], until: min(limit, deadline ?? limit))
                self.hostIndex = index
                self.failedRounds = 0
                self.configuration.health.succeeded(hosts[index])
                self.stateBox.connectError = nil
                return
            } catch {
                guard self.phase == phase else { throw self.closedError("open") }
                if error.code == .cancelled { throw error }
                self.configuration.health.failed(hosts[index])
                // Of several reasons the one that no repetition changes tells most: a host that is down says nothing
                // about a password that is wrong.
                if failure == nil || !error.isRetriable { failure = error }
                self.stateBox.connectError = failure
                self.logger.debug("AMQP host failed", metadata: ["error": "\(error)"])
            }
            if let deadline, .now >= deadline { break }
        }
        self.failedRounds += 1
        self.counters.failedRounds.count()
        throw failure ?? self.closedError("open")
    }

    private func connect(
        to host: AMQPConfiguration.Host,
        until deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        let phase = self.phase
        let transport = try await self.openSocket(to: host, until: min(deadline, .now + self.silenceLimit))
        // Closed while the socket was on its way.
        guard self.phase == phase else { throw self.closedError("connect") }
        self.transport = transport
        do {
            try await self.logIn(transport, host, until: deadline)
        } catch {
            let error = error.during("log-in at \(host.name):\(host.port)")
            self.connectionLost(error)
            throw error
        }
    }

    /// Opens the socket on a thread of its own, because librabbitmq and the resolver block; meanwhile this actor stays
    /// responsive.
    ///
    /// The handle changes its owner once, through the box.
    private func openSocket(
        to host: AMQPConfiguration.Host,
        until deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> Transport {
        let box = HandleBox()
        let wait = Wait<Void>("connecting to \(host.name):\(host.port)", on: self.loop)
        self.connectWait = wait
        defer { self.connectWait = nil }
        let tls = self.configuration.tls
        let loop = self.loop
        do {
            try await self.suspend(on: wait, until: deadline) { () throws(AMQPError) in
                let isStarted = PosixThread.start(name: "amqp-connect") {
                    let result: Result<Void, AMQPError>
                    do throws(AMQPError) {
                        box.put(try ConnectionHandle(connectingTo: host, tls: tls, timeout: deadline - .now))
                        result = .success(())
                    } catch {
                        result = .failure(error)
                    }
                    loop.execute { wait.finish(result) }
                }
                guard isStarted else {
                    throw AMQPError(.connectFailed, operation: wait.operation, message: "no thread can be started")
                }
            }
        } catch {
            // If the handle arrives in spite of it, the box lets go of it.
            _ = box.take()
            throw error.code == .timeout
                ? AMQPError(.connectFailed, operation: wait.operation, message: "no answer in time") : error
        }
        guard let handle = box.take() else {
            throw AMQPError(.connectFailed, operation: wait.operation, message: "the socket was lost")
        }
        return Transport(handle, host: host, configuration: self.configuration)
    }

    // MARK: Log-in

    /// `connection.start` to `connection.open-ok`.
    ///
    /// Done here and not by librabbitmq's log-in, because that blocks, and because what the broker proposes is checked
    /// before it is applied.
    private func logIn(
        _ transport: Transport,
        _ host: AMQPConfiguration.Host,
        until deadline: ContinuousClock.Instant
    ) async throws(AMQPError) {
        let start: InboundMethod
        do {
            start = try await self.nextAnswer(of: transport, until: deadline)
        } catch {
            var error = error
            // RabbitMQ's ports for TLS close without a word when they are spoken to plainly.
            if self.configuration.tls == nil, transport.received == 0, error.code == .connectionLost {
                error.message += " before it said anything; a port for TLS does that to a plain connection"
            }
            throw error
        }
        guard case .start(let mechanisms, let properties) = start.arguments else { throw self.unexpected(start) }
        let mechanism = try self.configuration.mechanism.chosen(from: mechanisms)
        try transport.append(
            .startOK(
                properties: self.clientProperties,
                mechanism: mechanism.name,
                response: mechanism.response(for: host)
            ),
            on: 0
        )
        let tune: InboundMethod
        do {
            tune = try await self.nextAnswer(of: transport, until: deadline)
        } catch {
            guard error.code == .connectionLost else { throw error }
            var error = error
            error.message += "; brokers that cannot say it end the connection when the credentials are wrong"
            throw error
        }
        guard case .tune(let channelMax, let frameMax, let heartbeat) = tune.arguments else {
            throw self.unexpected(tune)
        }
        try self.agree(transport, channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat)
        try transport.append(.openConnection(virtualHost: self.configuration.virtualHost), on: 0)
        let opened = try await self.nextAnswer(of: transport, until: deadline)
        guard opened.id == MethodID.connectionOpenOK else { throw self.unexpected(opened) }
        self.stateBox.brokerVersion = properties["version"]?.string
        transport.isEstablished = true
        self.counters.connects.count()
        transport.hearsUpTo = transport.writer.appended
    }

    /// No larger frames are agreed to, whatever both sides wish: every connection holds buffers of this size.
    private static let largestFrame = 524_288

    /// The lower of both sides' wishes, where 0 is no wish (AMQP 0-9-1, connection.tune).
    private func agree(
        _ transport: Transport,
        channelMax: Int,
        frameMax: Int,
        heartbeat: Int
    ) throws(AMQPError) {
        func lower(_ ours: Int, _ theirs: Int) -> Int { theirs == 0 ? ours : min(ours, theirs) }
        let channelMax = lower(self.configuration.channelMax, channelMax)
        let frameMax = min(lower(self.configuration.frameMax, frameMax), Self.largestFrame)
        // In whole seconds on the wire, and rounded up: half a second must not become zero, which is none at all.
        let (seconds, attoseconds) = self.configuration.heartbeat.components
        let ours = Int(seconds) + (attoseconds > 0 ? 1 : 0)
        // Without heartbeats on our side the broker's wish is not taken up: zero turns them off.
        let heartbeat = ours == 0 ? 0 : lower(ours, heartbeat)
        guard frameMax >= 4_096 else {
            throw AMQPError(
                .protocolViolation,
                operation: "connection.tune",
                message: "the broker wants frames of \(frameMax) bytes; the protocol's minimum is 4096",
                isRetriable: true
            )
        }
        try transport.append(.tuneOK(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat), on: 0)
        transport.tune(channelMax: channelMax, frameMax: frameMax, heartbeat: .seconds(heartbeat))
    }

    /// What this client can do.
    ///
    /// Without it the broker keeps the news of cancelled consumers to itself.
    private var clientProperties: AMQPTable {
        var properties: AMQPTable = [
            "product": "Steward",
            "platform": "Swift",
            "information": "AMQP client over librabbitmq",
            "capabilities": .table([
                "publisher_confirms": true,
                "basic.nack": true,
                "consumer_cancel_notify": true,
                "connection.blocked": true,
                "authentication_failure_close": true,
                "exchange_exchange_bindings": true,
            ]),
        ]
        if !self.configuration.connectionName.isEmpty {
            properties["connection_name"] = .string(self.configuration.connectionName)
        }
        return properties
    }

    private func nextControlMethod(until deadline: ContinuousClock.Instant) async throws(AMQPError) -> InboundMethod {
        guard self.phase == .opening || self.phase == .running else { throw self.closedError("log-in") }
        if let method = self.controlInbox.popFirst() { return method }
        let wait = Wait<InboundMethod>("log-in", on: self.loop)
        self.controlWait = wait
        defer { self.controlWait = nil }
        guard self.transport != nil else {
            // Together with its last method, before anybody waited for the next: to be tried again like any loss.
            throw AMQPError(.connectionLost, operation: "log-in", message: "the broker ended the stream during log-in")
        }
        return try await self.suspend(on: wait, until: deadline) {}
    }

    /// The answer of the log-in's next step; a host that says nothing is given up before its time is over.
    private func nextAnswer(
        of transport: Transport,
        until deadline: ContinuousClock.Instant
    ) async throws(AMQPError) -> InboundMethod {
        var heard = ContinuousClock.now
        while true {
            let limit = min(deadline, heard + self.silenceLimit)
            do {
                return try await self.nextControlMethod(until: limit)
            } catch {
                // A part of a frame is a sign of life as well.
                guard error.code == .timeout, limit < deadline, transport.lastReceived > heard else { throw error }
                heard = transport.lastReceived
            }
        }
    }

    private func unexpected(_ method: InboundMethod) -> AMQPError {
        switch method.arguments {
        case .close(let reply) where reply.code == 403:
            AMQPError(
                .authenticationRefused,
                operation: "log-in",
                message: "the broker does not accept the credentials",
                reply: reply
            )
        case .close(let reply):
            AMQPError.replied(reply, to: "log-in")
        default:
            FrameReader.violation("the broker sent method \(method.id) during log-in")
        }
    }
}
