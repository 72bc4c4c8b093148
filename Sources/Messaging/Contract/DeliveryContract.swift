/// What a method promises about the messages that ask for it.
public struct DeliveryContract: Sendable, Hashable {
    private enum Kind { case atMostOnce, atLeastOnce }
    private let kind: Kind

    /// Acknowledged when the handler is started, never earlier; the default.
    ///
    /// A request whose worker dies is not run again, and what had not been started is lost by nobody.
    public static let atMostOnce = DeliveryContract(kind: .atMostOnce)

    /// Acknowledged when the handler has ended.
    ///
    /// A request whose worker dies is delivered again, so the handler's effect must bear a repetition. An error that
    /// the handler throws is its end: it is answered or logged, not repeated.
    public static let atLeastOnce = DeliveryContract(kind: .atLeastOnce)
}
