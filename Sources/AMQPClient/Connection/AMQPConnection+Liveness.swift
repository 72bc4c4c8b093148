import Logging

extension AMQPConnection {
    /// Heartbeats are sent and watched here, not by librabbitmq: it would write them between the parts of ours.
    func startWatching(_ transport: Transport) {
        guard transport.isEstablished else { return }
        if let heartbeatTimer {
            // Something could not be sent: from now on the time counts in which nothing comes forward.
            let limit = transport.lastProgress + self.configuration.operationTimeout
            if !transport.writer.isEmpty, heartbeatTimer.deadline > limit {
                self.loop.add(heartbeatTimer, at: limit)
            }
            return
        }
        let timer = ActionTimer { [unowned self] in
            self.assumeIsolated { $0.checkLiveness() }
        }
        self.heartbeatTimer = timer
        self.loop.add(timer, at: self.nextCheck(transport, now: .now))
    }

    /// The broker is taken for dead after two heartbeats of silence (AMQP 0-9-1, section 4.2.7).
    ///
    /// Ours are sent after half of one, or as often as the configuration says.
    private func checkLiveness() {
        guard let transport else { return }
        let now = ContinuousClock.now
        let heartbeat = transport.heartbeat
        if heartbeat > .zero {
            if now - transport.lastReceived >= heartbeat * 2 {
                return self.fellSilent(transport, "heartbeat", "nothing came from the broker for \(heartbeat * 2)")
            }
            if let probe = transport.probe, now >= probe.deadline {
                guard transport.received - probe.received > Self.heartbeatsOnly else {
                    return self.fellSilent(transport, "heartbeat", "the broker does not hear this side any more")
                }
                // The answer comes behind what is still coming. A broker that hears nothing has soon sent all that may be
                // unacknowledged, and then nothing but heartbeats.
                transport.probe?.deadline = now + heartbeat
                transport.probe?.received = transport.received
            }
            let isIdle =
                now - transport.lastSent >= heartbeat / self.configuration.heartbeatRate && transport.writer.isEmpty
            if isIdle {
                transport.writer.appendHeartbeat()
            }
            if now - transport.lastProbe >= heartbeat * (isIdle ? 0.4 : Self.probeInterval) {
                self.probe(transport, now: now)
            }
        }
        // A blocked broker reads nothing, and says so; only a stall without a word is a fault.
        if !transport.writer.isEmpty, self.blockedReason == nil,
            now - transport.lastProgress >= self.configuration.operationTimeout
        {
            let limit = self.configuration.operationTimeout
            return self.fellSilent(transport, "writing", "the broker took nothing for \(limit)")
        }
        if let heartbeatTimer {
            self.loop.add(heartbeatTimer, at: self.nextCheck(transport, now: now))
        }
    }

    /// After how many heartbeats a busy connection asks whether it is heard; an idle one does so with its heartbeats.
    private static let probeInterval = 0.5
    /// No more bytes than these come in the time of one heartbeat where nothing but heartbeats comes.
    private static let heartbeatsOnly = 64
    /// A network that is slower than this, in bytes a second, counts as one that carries nothing.
    private static let slowestNetwork = 1_000.0

    /// Asks for an answer: a network may lose one direction alone, and the broker's heartbeats go on coming.
    ///
    /// The broker would notice at last, after up to three heartbeats, and until then a consumer would be deaf. The method
    /// changes nothing on a channel without consumers.
    private func probe(_ transport: Transport, now: ContinuousClock.Instant) {
        transport.lastProbe = now
        // One at a time: a later one must not put off the end of an earlier one.
        guard self.blockedReason == nil, transport.probe == nil, let wire = self.wireOfOperations(on: transport) else {
            return
        }
        if let waiting = wire.calls.first {
            // Behind another method an answer would say nothing. That of the other says as much, but may take its time.
            let patience = transport.heartbeat + self.configuration.operationTimeout
            transport.probe = (waiting, transport.hearsUpTo, now + patience, transport.received)
            return
        }
        let call = PendingCall(.setPrefetch(count: 0, global: false), on: self.loop)
        do {
            try transport.append(call.method, on: wire.number)
        } catch {
            return self.logger.error("the broker cannot be asked", metadata: ["error": "\(error)"])
        }
        wire.append(call)
        let position = transport.writer.appended
        // What was sent before it goes first.
        let unheard = Double(position - transport.hearsUpTo)
        let patience = min(.seconds(unheard / Self.slowestNetwork), self.configuration.operationTimeout)
        transport.probe = (call, position, now + transport.heartbeat + patience, transport.received)
    }

    /// The operations' channel, also one that is not open yet.
    private func wireOfOperations(on transport: Transport) -> WireChannel? {
        self.operations.wire
            ?? transport.wires.values.first { $0.owner === self.operations && !$0.isRetired && !$0.isClosing }
    }

    /// The connection is there and nothing moves: another host, if there is one, may do better.
    private func fellSilent(_ transport: Transport, _ operation: String, _ message: String) {
        self.configuration.health.failed(transport.host)
        self.connectionLost(AMQPError(.connectionLost, operation: operation, message: message))
    }

    private func nextCheck(_ transport: Transport, now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        // Without heartbeats and with everything sent there is nothing to watch; an idle connection does not wake up.
        var next = now + (transport.heartbeat > .zero ? transport.heartbeat : .seconds(3_600))
        if !transport.writer.isEmpty {
            next = min(next, max(transport.lastProgress + self.configuration.operationTimeout, now + .seconds(1)))
        }
        if transport.heartbeat > .zero {
            next = min(next, transport.lastReceived + transport.heartbeat * 2)
            let interval = transport.heartbeat / self.configuration.heartbeatRate
            next = min(next, max(transport.lastSent + interval, now + interval / 2))
            next = min(next, transport.lastProbe + transport.heartbeat * Self.probeInterval)
            if let probe = transport.probe { next = min(next, probe.deadline) }
        }
        return max(next, now + .milliseconds(1))
    }
}
