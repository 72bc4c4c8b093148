extension RPCClient {
    /// Sends a request, and offers it again where the broker refuses it, as often as the options say.
    func send(_ message: Message, to destination: Destination, options: SendOptions) async throws(RPCError) {
        var attempts = 0
        while true {
            do {
                return try await self.transport.send(message, to: destination, options: options)
            } catch {
                let pause = Duration.milliseconds(100) * (1 << min(attempts, 10))
                guard error.code == .rejected, attempts < self.options.retry,
                    options.deadline.map({ self.transport.clock.now + pause < $0 }) ?? true
                else { throw error }
                attempts += 1
                do {
                    try await self.transport.clock.sleep(pause)
                } catch _ {
                    throw error  // The task was cancelled, which the caller sees to.
                }
            }
        }
    }
}
