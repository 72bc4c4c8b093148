/// What is known of a request for which no reply is awaited, once the broker has taken it.
public struct CastReceipt: Sendable, Hashable {
    /// The id of the message, which the receiver's handler sees as `context.request?.uniqueID`.
    public let uniqueID: String
    /// Whether the broker put the request into a queue; if not, nobody will see it.
    ///
    /// For a fanout it says whether any server listens. Any other cast that finds no queue is an error, unless
    /// ``RPCClient/Options/requiresRoute`` says otherwise. Where no confirm is awaited it is not known, and assumed.
    public let isRouted: Bool
}
