/// A request that was given up, as it lies among its topic's dead letters.
///
/// What its headers do not say, or say in a way that cannot be read, is `nil`: a letter is shown whatever it is.
public struct DeadLetter: Sendable {
    /// What names the letter: the request's unique id; where it has none, a name made of its body.
    public let id: String
    /// The method's name on the wire.
    public let method: String?
    /// Why the request was given up.
    public let reason: DeadLetterReason?
    /// The error of its last attempt.
    public let error: String?
    /// How many attempts were started.
    public let attempts: Int?
    /// How often it had been sent back from the dead letters before.
    public let replays: Int
    /// The queue from which it had come.
    public let queue: String?
    /// The host that gave it up.
    public let host: String?
    /// When its first attempt failed: `2026-11-22T19:30:00.250Z`.
    public let firstFailure: String?
    /// When it was given up.
    public let lastFailure: String?
    /// Whether its sender waited for a reply.
    public let isCall: Bool
    /// The size of its body in bytes.
    public let size: Int

    private let payload: RequestPayload?

    init(_ delivery: Delivery) {
        let headers = delivery.headers
        let payload: RequestPayload?
        do {
            payload = try RequestPayload(delivery)
        } catch {
            payload = nil  // It is shown by what its headers say.
        }
        self.payload = payload
        self.id =
            [headers[RequestTrail.Header.uniqueID], payload?.uniqueID].lazy.compactMap { $0 }.first { !$0.isEmpty }
            ?? Self.name(of: delivery.body)
        self.method = headers[RequestTrail.Header.method] ?? payload?.method
        self.reason = headers[RequestTrail.Header.reason].map { DeadLetterReason(rawValue: $0) }
        self.error = headers[RequestTrail.Header.error]
        self.attempts = headers[RequestTrail.Header.attempts].flatMap { Int($0) }
        self.replays = RequestTrail(headers).replays
        // The second one is the broker's own, for what it has dead-lettered by itself.
        self.queue = headers[RequestTrail.Header.queue] ?? headers["x-first-death-queue"]
        self.host = headers[RequestTrail.Header.host]
        self.firstFailure = headers[RequestTrail.Header.firstTime]
        self.lastFailure = headers[RequestTrail.Header.lastTime]
        self.isCall = payload?.isCall ?? false
        self.size = delivery.body.count
    }

    /// The request's arguments, if they can be read: they may hold what is not for everybody's eyes.
    public var arguments: JSONValue? {
        do {
            return try self.payload?.args.value()
        } catch {
            return nil
        }
    }

    /// The request's context, if it can be read; an authentication token is left out.
    public var context: [String: JSONValue]? {
        do {
            var context = try self.payload?.contextValues()
            context?["auth_token"] = nil
            return context
        } catch {
            return nil
        }
    }

    /// A name for what has none: FNV-1a of the body, the same at each look.
    private static func name(of body: [UInt8]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in body { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return "body-" + String(hash, radix: 16)
    }
}

extension DeadLetter: CustomStringConvertible {
    /// The id, the method and the reason: nothing of its body.
    public var description: String {
        "\(self.id) \(self.method ?? "(no method)") \(self.reason?.rawValue ?? "(no reason)")"
    }
}

/// Which dead letters are meant.
public struct DeadLetterFilter: Sendable {
    /// Only those with one of these ids; `nil` for any.
    public var ids: Set<String>?
    /// Only requests for this method; `nil` for any.
    public var method: String?
    /// Only what was given up longer ago than this; `nil` for any.
    public var minimumAge: Duration?

    /// Creates a filter.
    ///
    /// - Parameters:
    ///   - ids: Only those with one of these ids; any by default.
    ///   - method: Only requests for this method; any by default.
    ///   - minimumAge: Only what was given up longer ago than this; any by default.
    public init(ids: Set<String>? = nil, method: String? = nil, minimumAge: Duration? = nil) {
        self.ids = ids
        self.method = method
        self.minimumAge = minimumAge
    }

    /// All of them.
    public static let all = DeadLetterFilter()

    func includes(_ letter: DeadLetter, now: UTCTime) -> Bool {
        if let ids, !ids.contains(letter.id) { return false }
        if let method, letter.method != method { return false }
        guard let minimumAge else { return true }
        guard let givenUp = letter.lastFailure.flatMap({ UTCTime($0) }) else { return false }
        return .milliseconds(now.milliseconds - givenUp.milliseconds) >= minimumAge
    }
}
