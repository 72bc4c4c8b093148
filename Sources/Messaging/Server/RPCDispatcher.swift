internal import Logging

/// Finds the handler of a request: namespace, version, method, access, in that order (wire contract 4.2).
package struct RPCDispatcher: Sendable {
    let endpoints: [RPCEndpoint]

    /// Names a method of a namespace.
    private struct Key: Hashable {
        let namespace: String?
        let method: String
    }

    /// A handler and what its endpoint says of it.
    private struct Candidate {
        let handler: RPCHandler
        let version: RPCVersion
        let access: AccessPolicy
    }

    /// What may serve a method, in the order of the endpoints: a request costs the same however many there are.
    private let candidates: [Key: [Candidate]]

    /// Takes endpoints in the order in which they are asked.
    ///
    /// A method that one of them declares and none serves is a programmer's mistake and traps.
    package init(endpoints: [RPCEndpoint]) {
        for endpoint in endpoints {
            for method in endpoint.servedElsewhere {
                let isServed = endpoints.contains { other in
                    other.namespace == endpoint.namespace && other.version.supports(method.since)
                        && other.handlers[method.name] != nil
                }
                precondition(
                    isServed,
                    "\(endpoint.name ?? "an endpoint") declares \(method.name), which no endpoint of the server serves"
                )
            }
        }
        self.endpoints = endpoints
        var candidates: [Key: [Candidate]] = [:]
        for endpoint in endpoints {
            let namespaces = Set(endpoint.legacyNamespaces).union([endpoint.namespace])
            for (method, handler) in endpoint.handlers {
                let access = handler.access ?? endpoint.access
                let candidate = Candidate(handler: handler, version: endpoint.version, access: access)
                for namespace in namespaces {
                    candidates[Key(namespace: namespace, method: method), default: []].append(candidate)
                }
            }
        }
        self.candidates = candidates
    }

    /// Why a request has no handler.
    package enum Refusal: Error, RemoteFailureConvertible {
        case noSuchMethod(String)
        case unsupportedVersion(String, method: String)
        case badVersion(String)
        case accessDenied(String, rule: String)
        /// The context, which an access rule wants to see, cannot be read.
        case badContext(JSONError)

        /// The classes that Python callers can tell apart (wire contract 3.4).
        package var remoteFailure: RemoteFailure {
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
            case .accessDenied(let method, let rule):
                RemoteFailure(
                    className: "AccessDenied",
                    module: RemoteFailure.refusalModule,
                    message: "\(method) is not open to this caller, but to \(rule)"
                )
            case .badContext(let error):
                RemoteFailure(
                    className: "ValueError",
                    module: "builtins",
                    message: "the request context cannot be read: \(error)"
                )
            }
        }

        /// A caller that expects to find nothing says so by the name, as in oslo (wire contract 4.2).
        var logLevel: Logger.Level {
            if case .noSuchMethod(let method) = self, method.hasSuffix("_ignore_errors") { return .debug }
            return .info
        }

        /// Under which name it is counted.
        var kind: RefusalKind {
            switch self {
            case .noSuchMethod: .noSuchMethod
            case .unsupportedVersion: .unsupportedVersion
            case .accessDenied: .accessDenied
            case .badVersion, .badContext: .malformed
            }
        }
    }

    /// The handler of a request that `userID` has sent, as the broker says.
    package func handler(for request: RequestPayload, userID: String?) throws(Refusal) -> RPCHandler {
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
        var refusal: AccessPolicy?
        for candidate in self.candidates[Key(namespace: request.namespace, method: method)] ?? []
        where candidate.version.supports(version) {
            if candidate.access.isOpen { return candidate.handler }
            if candidate.access.permits(try Self.caller(of: request, userID: userID)) { return candidate.handler }
            refusal = refusal ?? candidate.access
        }
        // oslo does not let a caller know what begins with an underscore (wire contract 4.2).
        if let refusal, !method.hasPrefix("_") { throw .accessDenied(method, rule: refusal.description) }
        let servesVersion = self.endpoints.contains { endpoint in
            (endpoint.namespace == request.namespace || endpoint.legacyNamespaces.contains(request.namespace))
                && endpoint.version.supports(version)
        }
        throw servesVersion ? .noSuchMethod(method) : .unsupportedVersion(version.description, method: method)
    }

    private static func caller(of request: RequestPayload, userID: String?) throws(Refusal) -> Caller {
        do throws(JSONError) {
            return Caller(userID: userID, context: RPCContext(try request.contextValues()))
        } catch {
            throw .badContext(error)
        }
    }
}
