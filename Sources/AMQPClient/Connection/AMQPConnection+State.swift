import Logging

extension AMQPConnection {
    /// Does nothing, on the connection's own thread: who waits for it knows that the thread does its work.
    public func takeTurn() {}

    /// Until when an operation that begins now may take.
    var operationDeadline: ContinuousClock.Instant { .now + self.configuration.operationTimeout }

    func closedError(_ operation: String) -> AMQPError {
        AMQPError(.closed, operation: operation, message: "the connection is closed, or was never opened")
    }

    /// Why a message cannot be sent at present.
    var obstacle: AMQPError {
        if let blockedReason {
            return AMQPError(
                .blocked,
                operation: "basic.publish",
                message: "the broker takes no messages at present: \(blockedReason)"
            )
        }
        return AMQPError(
            .timeout,
            operation: "basic.publish",
            message: self.trouble == nil
                ? "the deadline passed before the message could be sent" : "the connection is lost",
            cause: self.trouble
        )
    }

    /// Publishes the state that follows from everything else.
    func refreshState() {
        let state: AMQPConnectionState =
            switch self.phase {
            case .idle: .idle
            case .opening: .connecting
            case .running, .closing:
                if let trouble {
                    .recovering(trouble)
                } else if let blockedReason {
                    .blocked(reason: blockedReason)
                } else {
                    .open
                }
            case .closed: .closed
            }
        guard self.stateBox.change(to: state) else { return }
        self.logger.info("AMQP connection state changed", metadata: ["state": "\(state)"])
    }

    /// The connection is gone: ends everything that was in flight on it and has the supervisor make a new one.
    func connectionLost(_ error: AMQPError) {
        guard let transport else { return }
        self.transport = nil
        transport.giveUp()
        self.blockedReason = nil
        if let heartbeatTimer {
            self.loop.remove(heartbeatTimer)
            self.heartbeatTimer = nil
        }
        if let quietTimer {
            self.loop.remove(quietTimer)
            self.quietTimer = nil
        }
        for wire in transport.wires.values {
            self.abandon(wire, error)
        }
        self.acknowledging = []
        self.controlInbox = Queue()
        self.controlWait?.fail(error)
        self.closeWait?.finish(.success(()))
        self.repairs.reset()
        if self.phase == .running {
            self.trouble = error
            self.isFreshLoss = self.isFreshLoss || transport.isEstablished
            if transport.isEstablished, .now - transport.openedAt >= self.configuration.backoff.maximum {
                self.connectAttempt = 0
            }
            self.refreshState()
        }
        self.signalSupervisor()
    }

    /// A channel is gone with the connection: nothing on it will be answered.
    private func abandon(_ wire: WireChannel, _ error: AMQPError) {
        wire.isDefunct = true
        if wire.owner.wire === wire {
            wire.owner.wire = nil
        }
        for consumer in wire.owner.consumers.values {
            consumer.isActive = false
        }
        for call in wire.drainCalls() {
            var lost = error.during(call.operation)
            lost.outcomeIsUnknown = true
            call.fail(lost)
        }
        for wait in wire.acknowledgementWaits {
            wait(false)
        }
        wire.acknowledgementWaits = []
        for request in wire.unconfirmed.removeAll() {
            request.fail(self.unknownOutcome(of: request, because: error))
        }
    }

    func unknownOutcome(of request: PublishRequest, because error: AMQPError) -> AMQPError {
        AMQPError(
            error.code == .closed ? .closed : error.code == .channelClosed ? .channelClosed : .connectionLost,
            operation: request.fullOperation,
            message: "the message was sent, but whether it arrived is not known",
            outcomeIsUnknown: true,
            cause: error
        )
    }

    /// Ends everything that waits for a connection, because there will be none.
    func failEverythingThatWaits() {
        for channel in [self.operations] + self.channels.values {
            let error = self.closedError("channel")
            for wait in channel.openWaits {
                wait.fail(error.during(wait.operation))
            }
            channel.openWaits = []
            for request in channel.waitingPublishes.drain() {
                request.fail(error.during(request.fullOperation))
            }
        }
        self.congested = []
    }
}
