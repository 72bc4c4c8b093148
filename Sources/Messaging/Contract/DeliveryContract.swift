/// What a method promises about the messages that ask for it.
public struct DeliveryContract: Sendable, Hashable {
    private enum Kind { case atMostOnce, atLeastOnce }
    private let kind: Kind

    /// Acknowledged when the handler is started, never earlier: a worker that dies does not run the request again, and
    /// loses nothing that it had not begun. The default.
    public static let atMostOnce = DeliveryContract(kind: .atMostOnce)

    /// Acknowledged when the handler has ended: a request whose worker dies is delivered again, so the handler's effect
    /// must bear a repetition. An error that the handler throws is its end: it is answered or logged, not repeated.
    public static let atLeastOnce = DeliveryContract(kind: .atLeastOnce)
}
