extension RPCServer {
    /// Whether requests reach this server at present, and why not.
    ///
    /// `notReady` before the broker has confirmed all consumers, while they are being restored after a fault, while the
    /// messages that the server sends itself do not come back (``Configuration/selfProbeInterval``), and from the stop on. Answered at once, from what is known; the broker is not asked.
    public var readiness: Readiness {
        if self.isStopping { return .notReady("the server was stopped") }
        let transport = self.transport.readiness
        return self.life.isListening
            ? transport.and(self.selfProbeReadiness)
            : Readiness.notReady("the server's queues are not open yet").and(transport)
    }
}
