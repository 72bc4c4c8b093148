internal import Synchronization

/// Counts what is alive: a task that captures one of its tokens counts until its closure and frame are gone.
///
/// Swift does not tell how many tasks there are; what they hold can be counted.
public final class LivingCount: Sendable {
    private let count = Mutex(0)

    /// Creates a count of nothing.
    public init() {}

    /// How many tokens are alive.
    public var living: Int { self.count.withLock(\.self) }

    /// Makes a token, which counts as long as somebody holds it.
    ///
    /// - Returns: The token.
    public func token() -> Token { Token(self) }

    /// Counts as long as somebody holds it.
    public final class Token: Sendable {
        private let owner: LivingCount

        fileprivate init(_ owner: LivingCount) {
            self.owner = owner
            owner.count.withLock { $0 += 1 }
        }

        deinit {
            self.owner.count.withLock { $0 -= 1 }
        }
    }
}
