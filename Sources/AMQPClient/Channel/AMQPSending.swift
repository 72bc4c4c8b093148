/// A message that was posted: ``AMQPChannel/post(_:exchange:routingKey:mandatory:deadline:patience:onWritten:completion:)``.
public protocol AMQPSending: AnyObject, Sendable {
    /// Whether the broker is responsible for the message.
    var isConfirmed: Bool { get }

    /// Gives the message up: if it is not written yet, it never is; its outcome is ``AMQPError/Code/cancelled``.
    func withdraw()
}

/// How soon a sender wants to know that its message was confirmed.
public struct ConfirmPatience: Sendable, Hashable {
    private enum Kind { case none, some }
    private let kind: Kind

    /// At once; somebody waits for it.
    public static let none = ConfirmPatience(kind: .none)
    /// Within two milliseconds or so: confirms are then read many at a time, which costs each of them less.
    ///
    /// For messages that are answered by something else than their confirm.
    public static let some = ConfirmPatience(kind: .some)
}
