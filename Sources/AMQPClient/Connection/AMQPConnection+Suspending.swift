extension AMQPConnection {
    /// Suspends the calling task until `wait` is finished.
    ///
    /// `start` begins the work whose end is waited for; if it throws, the wait ends with that error.
    ///
    /// A method of the actor on purpose: in a `nonisolated(nonsending)` function the closures below would run on the
    /// shared pool instead of the connection's thread.
    func suspend<Value: Sendable>(
        on wait: Wait<Value>,
        until deadline: ContinuousClock.Instant?,
        _ start: () throws(AMQPError) -> Void
    ) async throws(AMQPError) -> Value {
        let loop = self.loop
        let result = await withTaskCancellationHandler {
            // `self` is named so that the closure is isolated to the actor and not to nothing.
            await withCheckedContinuation(isolation: self) { continuation in
                wait.begin(continuation, until: deadline)
                do throws(AMQPError) {
                    try start()
                } catch {
                    wait.fail(error)
                }
            }
        } onCancel: {
            loop.execute { wait.cancel() }
        }
        return try result.get()
    }
}
