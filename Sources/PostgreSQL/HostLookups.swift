import Synchronization

/// The look-ups of hosts' names for one client.
///
/// Each has a thread of its own: the resolver blocks, for minutes where name servers are silent, and whoever waits can
/// give up.
final class HostLookups: Sendable {
    /// A look-up that goes on, or is done.
    final class Lookup: Sendable {
        private let box = Mutex<Result<[String], PostgreSQLError>?>(nil)

        /// What was found; `nil` until then.
        var result: Result<[String], PostgreSQLError>? { self.box.withLock { $0 } }

        fileprivate func finish(_ result: Result<[String], PostgreSQLError>) { self.box.withLock { $0 = result } }
    }

    /// How many may go on at a time: those that nobody waits for any more cannot be ended, and must not pile up.
    static let limit = 8

    private let resolver: HostResolver
    private let count = Mutex(0)

    init(_ resolver: HostResolver) { self.resolver = resolver }

    /// Looks a name up.
    ///
    /// - Parameters:
    ///   - name: The host's name.
    ///   - didFinish: Called on the look-up's thread when there is a result.
    /// - Returns: The look-up.
    /// - Throws: `unavailable` where as many go on as may, or no thread can be started.
    func start(
        _ name: String,
        didFinish: @escaping @Sendable () -> Void
    ) throws(PostgreSQLError) -> Lookup {
        let isTaken = self.count.withLock { count in
            guard count < Self.limit else { return false }
            count += 1
            return true
        }
        guard isTaken else {
            throw PostgreSQLError(.unavailable, "no address of host '\(name)' is found: earlier look-ups still go on")
        }
        let lookup = Lookup()
        let isStarted = DetachedThread.start(name: "postgresql-name") {
            lookup.finish(self.resolver.addresses(name))
            self.count.withLock { $0 -= 1 }
            didFinish()
        }
        guard isStarted else {
            self.count.withLock { $0 -= 1 }
            throw PostgreSQLError(.unavailable, "no thread can be started to look up host '\(name)'")
        }
        return lookup
    }
}
