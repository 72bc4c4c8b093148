/// Finds the handler of a request: namespace, version, method, in that order (wire contract 4.2).
struct RPCDispatcher: Sendable {
    let endpoints: [RPCEndpoint]

    /// Why a request has no handler.
    enum Refusal: Error, RemoteFailureConvertible {
        case noSuchMethod(String)
        case unsupportedVersion(String, method: String)
        case badVersion(String)
        case missing(String)

        /// The classes that Python callers can tell apart (wire contract 3.4).
        var remoteFailure: RemoteFailure {
            switch self {
            case .noSuchMethod(let method):
                RemoteFailure(
                    className: "NoSuchMethod",
                    module: "oslo_messaging.rpc.dispatcher",
                    message: "Endpoint does not support RPC method \(method)"
                )
            case .unsupportedVersion(let version, let method):
                RemoteFailure(
                    className: "UnsupportedVersion",
                    module: "oslo_messaging.rpc.dispatcher",
                    message: "Endpoint does not support RPC version \(version). Attempted method: \(method)"
                )
            case .badVersion(let version):
                RemoteFailure(
                    className: "ValueError",
                    module: "builtins",
                    message: "'\(version)' is not an RPC version; send major.minor"
                )
            case .missing(let what):
                RemoteFailure(
                    className: "TypeError",
                    module: "builtins",
                    message: "the request has no valid '\(what)'"
                )
            }
        }
    }

    func handler(for request: RequestPayload) throws(Refusal) -> RPCHandler {
        let method = request.method
        let version: RPCVersion
        switch request.version {
        case .absent:
            version = .unspecified
        case .null:
            throw .unsupportedVersion("None", method: method)
        case .text(let text):
            guard let parsed = RPCVersion(text) else { throw .badVersion(String(text.prefix(64))) }
            version = parsed
        case .other:
            throw .badVersion("a value that is no text")
        }
        var servesVersion = false
        for endpoint in self.endpoints {
            guard endpoint.namespace == request.namespace || endpoint.legacyNamespaces.contains(request.namespace),
                endpoint.version.supports(version)
            else { continue }
            servesVersion = true
            if let handler = endpoint.handlers[method] { return handler }
        }
        throw servesVersion ? .noSuchMethod(method) : .unsupportedVersion(version.description, method: method)
    }
}
