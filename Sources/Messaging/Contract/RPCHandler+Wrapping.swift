extension RPCHandler {
    package typealias Run = @Sendable (RPCContext, RawJSON) async throws -> RawJSON

    /// The same method, with something around its code; for what observes handlers.
    package func wrapped(
        by wrap: @escaping @Sendable (RPCContext, RawJSON, Run) async throws -> RawJSON
    ) -> RPCHandler {
        var handler = self
        handler.run = { [run] context, arguments in try await wrap(context, arguments, run) }
        return handler
    }
}

extension RPCEndpoint {
    /// The same endpoint with changed handlers of the same names.
    package func mapHandlers(_ change: (RPCHandler) -> RPCHandler) -> RPCEndpoint {
        var endpoint = self
        endpoint.handlers = self.handlers.mapValues(change)
        return endpoint
    }
}
