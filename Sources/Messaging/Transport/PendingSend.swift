internal import Synchronization

/// A message that was handed to a transport with ``Transport/post(_:to:options:onWritten:completion:)``.
public protocol PendingSend: AnyObject, Sendable {
    /// Whether the broker has taken the message in.
    var isConfirmed: Bool { get }

    /// Gives the message up: if it is not on its way to the broker yet, it is never sent.
    func withdraw()
}

/// How much a sender wants to know of what becomes of its message.
public struct Confirmation: Sendable, Hashable {
    private enum Kind { case awaited, patient, none }
    private let kind: Kind

    /// The broker's word that it has the message, as soon as it is there; the default.
    public static let awaited = Confirmation(kind: .awaited)
    /// The same a few milliseconds later, where that is cheaper: for messages that are answered anyway.
    public static let patient = Confirmation(kind: .patient)
    /// Only that the message was written to the connection.
    ///
    /// Cheapest, and weakest: a message that fits no queue, or was under way when the connection broke, is lost without
    /// a word.
    public static let none = Confirmation(kind: .none)
}

extension Transport {
    /// Posts a message by sending it in a task of its own.
    ///
    /// - Parameters:
    ///   - message: The message.
    ///   - destination: Where it goes.
    ///   - options: Whether it must find a queue, and when to give up.
    ///   - onWritten: Called when it was sent.
    ///   - completion: Called once, with the error if there was one.
    /// - Returns: The message on its way.
    @discardableResult
    public func post(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void
    ) -> any PendingSend {
        self.postInTask(message, to: destination, options: options, onWritten: onWritten, completion: completion)
    }

    /// As ``post(_:to:options:onWritten:completion:)`` by default; for transports that cannot always do better.
    package func postInTask(
        _ message: Message,
        to destination: Destination,
        options: SendOptions,
        onWritten: (@Sendable () -> Void)?,
        completion: @escaping @Sendable (RPCError?) -> Void
    ) -> any PendingSend {
        let pending = SendTask()
        // Not a task group: whoever posts does not wait. It ends with the message's deadline.
        pending.start {
            do throws(RPCError) {
                try await self.send(message, to: destination, options: options)
                pending.confirm()
                onWritten?()
                completion(nil)
            } catch {
                completion(error)
            }
        }
        return pending
    }
}

/// A message that is sent by a task.
private final class SendTask: PendingSend {
    private let task = Mutex<Task<Void, Never>?>(nil)
    private let confirmation = Atomic(false)

    var isConfirmed: Bool { self.confirmation.load(ordering: .relaxed) }

    func start(_ body: @escaping @Sendable () async -> Void) {
        self.task.withLock { $0 = Task(executorPreference: preferredTaskExecutor) { await body() } }
    }

    func confirm() {
        self.confirmation.store(true, ordering: .relaxed)
    }

    func withdraw() {
        self.task.withLock(\.self)?.cancel()
    }
}
