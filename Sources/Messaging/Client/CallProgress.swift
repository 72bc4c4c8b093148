/// How far a call got that ended without a reply.
///
/// A timeout that names nothing is the commonest complaint about RPC over a broker; with this one it can be told whether
/// nobody was there, everybody was busy, or one host has gone silent.
public struct CallProgress: Sendable, Hashable {
    /// Whether the broker put the request into a queue.
    public var isRouted: Bool
    /// How many consumers that queue had shortly before the end; `nil` where it was not looked at.
    public var consumers: Int?
    /// How many requests waited in that queue shortly before the end.
    public var waitingRequests: Int?
    /// The host that took the request, if it said so: a server of this library does once it has worked on it for a tenth
    /// of a second, one of oslo.messaging never.
    public var host: String?
    /// How long before the end a server that works on the request was last heard of; `nil` where none ever was.
    public var silence: Duration?

    /// Creates a progress.
    ///
    /// - Parameters:
    ///   - isRouted: Whether the broker put the request into a queue.
    ///   - consumers: How many consumers that queue had; `nil` (the default) for unknown.
    ///   - waitingRequests: How many requests waited in it; `nil` (the default) for unknown.
    ///   - host: The host that took the request; `nil` (the default) where none said so.
    ///   - silence: How long ago a server was last heard of; `nil` (the default) where none ever was.
    public init(
        isRouted: Bool,
        consumers: Int? = nil,
        waitingRequests: Int? = nil,
        host: String? = nil,
        silence: Duration? = nil
    ) {
        self.isRouted = isRouted
        self.consumers = consumers
        self.waitingRequests = waitingRequests
        self.host = host
        self.silence = silence
    }
}

extension CallProgress: CustomStringConvertible {
    /// The same in words.
    public var description: String {
        guard self.isRouted else { return "the broker did not take the request" }
        if let silence {
            let host = self.host.map { "host '\($0)'" } ?? "a server"
            return "\(host) took the request and was last heard of \(silence.inSeconds.rounded(toPlaces: 1)) s ago"
        }
        guard let consumers, let waitingRequests else {
            return "the broker took the request, and no server was heard of since"
        }
        guard consumers > 0 else {
            return "the broker took the request, and nobody consumes its queue, in which \(waitingRequests) wait"
        }
        let servers = consumers == 1 ? "1 server consumes" : "\(consumers) servers consume"
        return waitingRequests > 0
            ? "the broker took the request; \(servers) its queue, in which \(waitingRequests) wait"
            : "the broker took the request and handed it out; \(servers) its queue, and none was heard of since"
    }
}

extension Double {
    func rounded(toPlaces places: Int) -> Double {
        let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}
