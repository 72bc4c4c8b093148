/// A message as a publisher gives it and a consumer gets it.
public struct AMQPMessage: Sendable, Hashable {
    /// What is said about the body.
    public var properties: AMQPProperties
    /// The content.
    ///
    /// The protocol never looks into it.
    public var body: [UInt8]

    /// Makes a message.
    public init(properties: AMQPProperties = AMQPProperties(), body: [UInt8]) {
        self.properties = properties
        self.body = body
    }
}
