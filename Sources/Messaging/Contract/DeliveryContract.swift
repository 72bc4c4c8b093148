/// What a method promises about the messages that ask for it.
///
/// ```swift
/// static let createVolume = RPCMethod<CreateVolume, Volume>("create_volume", since: "3.0", delivery: .atLeastOnce)
/// static let resize = RPCMethod<Resize, Void>(
///     "resize", since: "3.1", delivery: .atLeastOnce(attempts: 8, backoff: .constant(.seconds(30)))
/// )
/// ```
public struct DeliveryContract: Sendable, Hashable {
    private enum Kind: Hashable {
        case atMostOnce
        case atLeastOnce(attempts: Int, backoff: RetryBackoff)
    }
    private let kind: Kind

    /// Acknowledged when the handler is started, never earlier; the default.
    ///
    /// A request whose worker dies is not run again, and what had not been started is lost by nobody.
    public static let atMostOnce = DeliveryContract(kind: .atMostOnce)

    /// Acknowledged when the handler has ended; five attempts, 1, 2, 4 and 8 seconds apart.
    ///
    /// See ``atLeastOnce(attempts:backoff:)``.
    public static let atLeastOnce = DeliveryContract.atLeastOnce()

    /// Acknowledged when the handler has ended.
    ///
    /// A request whose worker dies is delivered again, and a cast whose handler fails unexpectedly is tried again after a
    /// time. After its last attempt it goes to the topic's dead letters. A request that has been completed is not run
    /// again, as far as the server's ``RequestJournal`` remembers. An expected error
    /// (``RemoteFailureConvertible/isExpected``) is an outcome as any other and ends the request, and so does each error
    /// of a call: there the caller decides.
    ///
    /// - Parameters:
    ///   - attempts: How often the handler is started at most, those starts included that its worker did not survive; 5 by
    ///     default, at least 1.
    ///   - backoff: How long to wait before the next attempt.
    /// - Returns: The contract.
    public static func atLeastOnce(attempts: Int = 5, backoff: RetryBackoff = .exponential) -> DeliveryContract {
        DeliveryContract(kind: .atLeastOnce(attempts: max(1, attempts), backoff: backoff))
    }

    /// Whether a request is acknowledged only when its handler has ended.
    public var isAtLeastOnce: Bool { self.kind != .atMostOnce }

    /// How often a handler is started at most for one request.
    public var attempts: Int {
        guard case .atLeastOnce(let attempts, _) = self.kind else { return 1 }
        return attempts
    }

    /// How long to wait after a failed attempt; `nil` where there is no other.
    ///
    /// - Parameter attempt: The attempt that failed, counted from 1.
    /// - Returns: The time, or `nil` after the last attempt.
    public func delay(after attempt: Int) -> Duration? {
        guard case .atLeastOnce(let attempts, let backoff) = self.kind, attempt < attempts else { return nil }
        return backoff.delay(after: attempt)
    }
}

extension DeliveryContract: CustomStringConvertible {
    /// The contract in a few words, such as `at least once (5 attempts)`.
    public var description: String {
        switch self.kind {
        case .atMostOnce: "at most once"
        case .atLeastOnce(let attempts, _): "at least once (\(attempts) attempts)"
        }
    }
}
