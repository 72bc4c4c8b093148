/// Runs tasks on the thread of the AMQP connection that has woken them.
///
/// A task that waits for a message, a confirm or an answer of the broker goes on where that was read: nobody has to wake
/// another thread, which costs more than most of what a task does before it waits again; and what the tasks of one turn
/// publish is written with one system call. Tasks that are woken elsewhere are run by the shared pool.
///
/// A connection never waits for a task for long. Tasks that compute for more than 0.1 ms at a time, or block, are run by
/// the shared pool for the next 0.1 s, on all processors; and where one does not return within 10 to 20 ms, its
/// connection goes on with another thread.
///
/// ```swift
/// await withTaskExecutorPreference(AMQPTaskExecutor.shared) {
///     for await message in messages { await handle(message) }
/// }
/// ```
public final class AMQPTaskExecutor: TaskExecutor {
    /// The one of the process: there is nothing that would differ between two.
    public static let shared = AMQPTaskExecutor()

    private init() {}

    /// Runs a job on the current connection's thread at the end of its turn, or in the shared pool.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if let thread = LoopThread.current, thread.loop.adopt(job, by: thread) { return }
        globalConcurrentExecutor.enqueue(job)
    }
}
