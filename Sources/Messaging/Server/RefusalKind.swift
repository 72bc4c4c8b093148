/// Why a request is not run, although it was sent to this server.
enum RefusalKind: String, Sendable, CaseIterable {
    case malformed
    case limitExceeded = "limit_exceeded"
    case unsupportedVersion = "unsupported_version"
    case noSuchMethod = "no_such_method"
    case accessDenied = "access_denied"
}

extension RPCServer {
    /// How many requests were refused, by reason: `malformed`, `limit_exceeded`, `unsupported_version`, `no_such_method`,
    /// `access_denied`.
    public var refusals: [String: Int] { self.statistics.totalRefusals() }
}

extension WireError {
    /// Under which name it is counted.
    var refusalKind: RefusalKind {
        self.code == .tooDeep || self.code == .tooLarge ? .limitExceeded : .malformed
    }

    /// What a caller that can be told is told.
    var remoteFailure: RemoteFailure {
        let isLimit = self.refusalKind == .limitExceeded
        return RemoteFailure(
            className: isLimit ? "LimitExceeded" : "ValueError",
            module: isLimit ? RemoteFailure.refusalModule : "builtins",
            message: self.message
        )
    }
}
