/// What a server remembers of the requests that it runs at least once, so that their effects are not repeated.
///
/// The server asks its journal before it runs a request, and tells it what became of it. How far the memory reaches is
/// how far a repetition is recognised: ``InMemoryRequestJournal`` forgets with its process, `SQLiteRequestJournal` of
/// `ServiceDatabase` remembers over restarts, and lets a handler note the end of a request in the same transaction as
/// its effect.
///
/// A journal that cannot answer throws; the server then runs nothing that it might have run before, and asks again
/// later.
public protocol RequestJournal: Sendable {
    /// Whether what it remembers is still there after its process has died; yes by default.
    ///
    /// Where it is not, a server counts with the messages themselves how often they are delivered again
    /// (``RPCServer/Configuration/redeliveryLimit``).
    var outlastsProcess: Bool { get }

    /// Notes that a request has been delivered and is about to be run, and says whether it shall be.
    ///
    /// The start of an attempt is counted before this returns: a request that kills its worker must not be able to do so
    /// for ever.
    ///
    /// - Parameter delivery: What was delivered.
    /// - Returns: What to do with it.
    /// - Throws: What keeps the journal from answering.
    func begin(_ delivery: RequestDelivery) async throws -> RequestStanding

    /// Notes that a request has come to its end.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - reply: What its caller is answered, or would be if it asked once more; `nil` for a cast.
    /// - Throws: What keeps the journal from answering.
    func complete(_ key: String, reply: [UInt8]?) async throws

    /// Takes back the start of an attempt: the server's end has cut it short, and the request is not to blame.
    ///
    /// - Parameter key: The request.
    /// - Throws: What keeps the journal from answering.
    func withdraw(_ key: String) async throws

    /// Notes that a copy of a request is about to be sent, which is to be run in its place or put aside.
    ///
    /// - Parameters:
    ///   - key: The request.
    ///   - onward: Where the copy goes.
    /// - Returns: Whether it shall be sent; `false` where the request has been completed.
    /// - Throws: What keeps the journal from answering.
    func leave(_ key: String, for onward: RequestOnward) async throws -> Bool

    /// Notes that the broker has the copy.
    ///
    /// - Parameter key: The request.
    /// - Throws: What keeps the journal from answering.
    func left(_ key: String) async throws

    /// Forgets a request: its repetition would be run as if it were new.
    ///
    /// - Parameter key: The request.
    /// - Throws: What keeps the journal from answering.
    func forget(_ key: String) async throws
}

extension RequestJournal {
    /// Yes.
    public var outlastsProcess: Bool { true }
}

/// A request as it was delivered.
public struct RequestDelivery: Sendable, Hashable {
    /// What names the request in the journal; see ``RPCContext/Request/journalKey``.
    public let key: String
    /// The method's name on the wire.
    public let method: String
    /// How many attempts had been started when this copy was sent; 0 for what the caller sent.
    public let attempts: Int
    /// How often the request was sent back from the dead letters.
    public let replays: Int

    /// Describes what was delivered.
    ///
    /// - Parameters:
    ///   - key: What names the request.
    ///   - method: The method's name on the wire.
    ///   - attempts: How many attempts had been started when this copy was sent; 0 by default.
    ///   - replays: How often it was sent back from the dead letters; 0 by default.
    public init(key: String, method: String, attempts: Int = 0, replays: Int = 0) {
        self.key = key
        self.method = method
        self.attempts = attempts
        self.replays = replays
    }
}

/// What a journal says of a request that was delivered.
public enum RequestStanding: Sendable, Hashable {
    /// It is to be run: for the first time (attempt 1), or again.
    case run(attempt: Int)
    /// It was run to its end; the reply is there if it is a call.
    case done(reply: [UInt8]?)
    /// It was about to be sent on when its server ended. Whether the copy was sent is not known: it has to be, again.
    case leave(RequestOnward)
    /// A copy has taken its place.
    case superseded
}

/// Where a request goes that is not run any more as it was delivered.
public enum RequestOnward: Sendable, Hashable {
    /// Back into its queue, after a time; so many attempts were started.
    case retry(attempts: Int)
    /// To the dead letters; so many attempts were started, and this is why there are no more.
    case deadLetters(attempts: Int, reason: DeadLetterReason)
}
