public import Messaging

extension Target {
    /// Where present cinder calls a backend: the topic `topic.node@backend` at the server `node` (wire contract 7.1).
    ///
    /// Its topic queue is the queue of the host `node@backend` on `topic`, by which older clients call, so that both reach
    /// the same backend.
    ///
    /// - Parameters:
    ///   - host: The backend's host, `node@backend`.
    ///   - topic: The service's topic.
    /// - Returns: The target; `nil` for a host that is no backend.
    public static func ofBackend(_ host: String, topic: String) -> Target? {
        guard let at = host.firstIndex(of: "@"), at > host.startIndex else { return nil }
        return .topic("\(topic).\(host)", server: String(host[..<at]))
    }
}
