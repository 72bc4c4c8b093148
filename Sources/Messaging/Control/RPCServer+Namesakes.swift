internal import Logging

extension RPCServer {
    /// Looks whether another process serves the topic under this server's name, once its own control queue is open.
    ///
    /// - Throws: `RPCError`, code `nameTaken`, where that was there before and the name is not to be shared.
    func checkNamesakes() async throws {
        guard !self.isStopping, let other = await self.namesake() else { return }
        let metadata: Logger.Metadata = [
            "incarnation": "\(self.life.incarnation)", "other": "\(other.incarnation)",
            "other_uptime": "\(other.uptime)",
        ]
        guard self.configuration.namesakes == .refuse, other.goesBefore(self) else {
            return self.logger.warning(
                "another process has this host's name; they share its requests",
                metadata: metadata
            )
        }
        throw RPCError(
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
        for _ in 0...min(consumers, 8) {
            do {
                let presence = try await client.call(ControlRPC.ping, timeout: .milliseconds(500))
                if presence.incarnation != self.life.incarnation, presence.state != .draining { return presence }
            } catch {
                // The consumer of a process that is gone, which the broker has not noticed: nobody is there.
                if Task.isCancelled { return nil }
            }
        }
        return nil
    }
}

extension ControlRPC.Presence {
    /// Whether the other one keeps the name: one that serves does, however long it has waited for its broker; of two that
    /// look for each other at the same time it is the one with the higher incarnation, and both come to that.
    fileprivate func goesBefore(_ server: RPCServer) -> Bool {
        self.state != .starting || self.incarnation > server.life.incarnation
    }
}
