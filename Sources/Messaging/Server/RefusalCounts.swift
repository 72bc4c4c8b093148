internal import Synchronization

/// How many requests a server has refused, by reason.
final class RefusalCounts: Sendable {
    /// Why a request is not run.
    enum Kind: String, Sendable, CaseIterable {
        case malformed
        case limitExceeded = "limit_exceeded"
        case unsupportedVersion = "unsupported_version"
        case noSuchMethod = "no_such_method"
        case accessDenied = "access_denied"
    }

    private let counts = Mutex<[Kind: Int]>([:])

    func count(_ kind: Kind) {
        self.counts.withLock { $0[kind, default: 0] += 1 }
    }

    /// All kinds with their numbers, by name.
    var byName: [String: Int] {
        let counts = self.counts.withLock { $0 }
        return Dictionary(uniqueKeysWithValues: Kind.allCases.map { ($0.rawValue, counts[$0] ?? 0) })
    }
}

extension RPCServer {
    /// How many requests were refused, by reason: `malformed`, `limit_exceeded`, `unsupported_version`, `no_such_method`,
    /// `access_denied`.
    public var refusals: [String: Int] { self.refusalCounts.byName }
}

extension WireError {
    /// Under which name it is counted.
    var refusalKind: RefusalCounts.Kind {
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
