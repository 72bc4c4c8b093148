extension RPCClient {
    /// Sends a request, and offers it again where the broker refuses it, as often as the options say.
    ///
    /// One that is `repeatable` is also sent again, as it is and with its id, while it is not known whether the broker got
    /// it: its servers run a request of the same id once.
    func send(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        repeatable: Bool = false
    ) async throws(RPCError) {
        var attempts = 0
        var refusals = 0
        var doubt: RPCError?
        while true {
            do {
                return try await self.transport.send(message, to: destination, options: options)
            } catch {
                if error.code == .connectionLost { doubt = error }
                if error.code == .rejected { refusals += 1 }
                let mayRepeat =
                    error.code == .rejected && refusals <= self.options.retry
                    || error.code == .connectionLost && repeatable
                let pause = Duration.milliseconds(100) * (1 << min(attempts, 10))
                guard mayRepeat, options.deadline.map({ self.transport.clock.now + pause < $0 }) ?? true else {
                    // What became of a later attempt says nothing of the one that may have arrived.
                    throw doubt ?? error
                }
                attempts += 1
                do {
                    try await self.transport.clock.sleep(pause)
                } catch _ {
                    throw doubt ?? error  // The task was cancelled, which the caller sees to.
                }
            }
        }
    }
}
