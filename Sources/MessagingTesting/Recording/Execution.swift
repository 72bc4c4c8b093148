public import Messaging

/// A run of a method by a server, as ``EventRecorder`` remembers it of an endpoint that it observes.
public struct Execution: Sendable {
    /// The method's name on the wire.
    public let method: String
    /// The keyword arguments.
    public let arguments: [String: JSONValue]
    /// The request's context, with what the server knew of the request.
    public let context: RPCContext
    /// What the handler returned, or the failure that went to the caller.
    public let outcome: Result<JSONValue, any Error>

    /// The result, or `nil` of a failure.
    public var result: JSONValue? {
        guard case .success(let result) = self.outcome else { return nil }
        return result
    }

    /// The failure, or `nil` of a result.
    public var failure: RemoteFailure? {
        guard case .failure(let error) = self.outcome else { return nil }
        return RemoteFailure(describing: error)
    }
}

extension RPCEndpoint {
    /// The same endpoint, whose runs are remembered.
    ///
    /// - Parameter executed: What remembers each run when its handler has ended.
    /// - Returns: An endpoint with the same methods.
    public func observed(by executed: EventRecorder<Execution>) -> RPCEndpoint {
        self.mapHandlers { handler in
            handler.wrapped { context, arguments, run in
                func record(_ outcome: Result<JSONValue, any Error>) throws {
                    executed.record(
                        Execution(
                            method: handler.name,
                            arguments: try arguments.value().objectValue ?? [:],
                            context: context,
                            outcome: outcome
                        )
                    )
                }
                let result: RawJSON
                do {
                    result = try await run(context, arguments)
                } catch {
                    try record(.failure(error))
                    throw error
                }
                try record(.success(try result.value()))
                return result
            }
        }
    }
}
