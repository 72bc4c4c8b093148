public import Messaging

/// The service that is measured: one method that answers what it was given, and one that only counts.
public enum EchoRPC {
    /// What both methods are given.
    ///
    /// The handlers pass it on and do not look into it, so it stays the text it came as.
    public struct Payload: Codable, Sendable {
        /// Any JSON value.
        public var data: RawJSON

        /// Creates arguments around a value.
        public init(data: RawJSON) {
            self.data = data
        }
    }

    /// Answers its argument.
    public static let echo = RPCMethod<Payload, RawJSON>("echo", since: "1.0")
    /// Counts.
    public static let tick = RPCMethod<Payload, Void>("tick", since: "1.0")
}
