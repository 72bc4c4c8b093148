/// One suspension of a task until something happens on the event loop: ends exactly once, by a result, the deadline
/// or the cancellation of the task.
///
/// `@unchecked Sendable`: touched only on the loop's thread; others merely carry the reference there.
class Wait<Value: Sendable>: LoopTimer, @unchecked Sendable {
    private var continuation: CheckedContinuation<Result<Value, AMQPError>, Never>?
    private let loop: AMQPEventLoop
    let operation: String

    init(_ operation: String, on loop: AMQPEventLoop) {
        self.operation = operation
        self.loop = loop
    }

    var isPending: Bool { self.continuation != nil }

    func begin(
        _ continuation: CheckedContinuation<Result<Value, AMQPError>, Never>,
        until deadline: ContinuousClock.Instant?
    ) {
        assert(self.loop.isCurrent, "a wait began on a foreign thread")
        self.continuation = continuation
        if let deadline {
            self.loop.add(self, at: deadline)
        }
    }

    func finish(_ result: Result<Value, AMQPError>) {
        guard let continuation else { return }
        self.continuation = nil
        self.loop.remove(self)
        continuation.resume(returning: result)
    }

    func fail(_ error: AMQPError) {
        self.finish(.failure(error))
    }

    func cancel() {
        self.fail(
            AMQPError(
                .cancelled,
                operation: self.operation,
                message: "the waiting task was cancelled",
                outcomeIsUnknown: self.outcomeIsUnknown
            )
        )
    }

    override func fire() {
        self.fail(self.expiry)
    }

    /// The error when the deadline passes.
    var expiry: AMQPError {
        AMQPError(
            .timeout,
            operation: self.operation,
            message: "the deadline passed before the broker answered",
            outcomeIsUnknown: self.outcomeIsUnknown
        )
    }

    /// Whether what is waited for may already have happened at the broker.
    var outcomeIsUnknown: Bool { false }
}
