/// The deadline of the request that the running task serves: the calls that it makes end no later.
///
/// It goes with the task and its children, so that a handler need not pass it on.
enum RequestDeadline {
    @TaskLocal static var current: ContinuousClock.Instant?
}
