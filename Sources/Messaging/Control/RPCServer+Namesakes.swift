internal import Logging

extension RPCServer {
    /// Looks whether another process serves the topic under this server's name, once its own control queue is open.
    ///
    /// - Throws: `RPCError`, code `nameTaken`, where that was there before and the name is not to be shared.
    func checkNamesakes() async throws {
        guard !self.isStopping else { return }
        if self.configuration.namesakes == .refuse { return try await self.takeName() }
        guard let other = await self.namesake() else { return }
        self.logger.warning(
            "another process has this host's name; they share its requests",
            metadata: [
                "incarnation": "\(self.life.incarnation)", "other": "\(other.incarnation)",
                "other_uptime": "\(other.uptime)",
            ]
        )
    }

    /// Takes the name, unless another has it; of several that start at the same time the one with the highest incarnation
    /// gets it.
    ///
    /// Who has looked once says that it stays, and looks again: of two that did not see each other before, the one that was
    /// later to say so sees the other now. Who sees one that goes before it and has not made up its mind waits until it has.
    private func takeName() async throws {
        if let other = await self.namesake(), other.keepsName ?? false || other.goesBefore(self) {
            throw self.nameTaken(by: other)
        }
        self.life.keepName()
        for _ in 1...Self.patienceWithStarting {
            guard let other = await self.namesake(), other.goesBefore(self) else { return }
            if other.keepsName ?? true { throw self.nameTaken(by: other) }
            do {
                try await self.clock.sleep(.milliseconds(50))
            } catch {
                return  // The server's task was cancelled: it ends.
            }
        }
    }

    /// How often another that starts is asked again.
    private static let patienceWithStarting = 40

    private func nameTaken(by other: ControlRPC.Presence) -> RPCError {
        RPCError(
            .nameTaken,
            "another process serves \(self.target): incarnation \(other.incarnation.prefix(bytes: 64)); give this host "
                + "another name, or end that process"
        )
    }

    /// Another server of this name that takes requests.
    ///
    /// Who asks at the address of both is answered by one after the other. A server that drains is on its way out, as in
    /// a restart.
    private func namesake() async -> ControlRPC.Presence? {
        let control = self.target.control
        let queue = Destination.server(control.server ?? "", topic: control.topic, exchange: control.exchange)
        let consumers: Int
        do {
            let status = try await self.transport.status(of: queue, deadline: self.clock.now + .seconds(2))
            consumers = status?.consumers ?? 0
        } catch {
            self.logger.debug("namesakes are not looked for", metadata: ["error": "\(error)"])
            return nil
        }
        // Alone: there is nobody to be asked.
        guard consumers > 1 else { return nil }
        let client = RPCClient(self.transport, target: control, logger: self.logger)
        // Where the other one asks at the same time, they take turns, and one may get none but its own answers: so chance
        // has a say in when the next question comes.
        for _ in 1...min(4 * consumers + 4, 40) {
            do {
                let presence = try await client.call(ControlRPC.ping, timeout: .milliseconds(500))
                if presence.incarnation != self.life.incarnation, presence.state != .draining { return presence }
                try await self.clock.sleep(.milliseconds(Int.random(in: 0...10)))
            } catch {
                // The consumer of a process that is gone, which the broker has not noticed: nobody is there.
                if Task.isCancelled { return nil }
            }
        }
        return nil
    }
}

extension ControlRPC.Presence {
    /// Whether the other one has the right to the name: one that serves has, however long it has waited for its broker; of
    /// two that start it is the one with the higher incarnation.
    fileprivate func goesBefore(_ server: RPCServer) -> Bool {
        self.state != .starting || self.incarnation > server.life.incarnation
    }
}
