extension AMQPConfiguration.Mechanism {
    /// The mechanism that is used with a broker that offers the given ones, separated by spaces.
    func chosen(from offered: String) throws(AMQPError) -> AMQPConfiguration.Mechanism {
        let names = offered.split(separator: " ").map { String($0) }
        if names.contains(self.name) { return self }
        // The same log-in in another form; a broker that is set up for Python's clients may have only this one.
        if self == .plain, names.contains(Self.amqplain.name) { return .amqplain }
        throw AMQPError(
            .authenticationRefused,
            operation: "log-in",
            message: "the broker does not offer \(self.name), only \(offered)"
        )
    }

    /// The response of `connection.start-ok`.
    func response(for host: AMQPConfiguration.Host) -> [UInt8] {
        let user = Array(host.user.utf8)
        let password = Array(host.password.revealed.utf8)
        switch self {
        case .plain: return [0] + user + [0] + password
        case .amqplain:
            // A table of two long strings, without the length that stands before a table elsewhere.
            func field(_ name: String, _ value: [UInt8]) -> [UInt8] {
                let length = UInt32(clamping: value.count)
                return [UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(ascii: "S")]
                    + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + value
            }
            return field("LOGIN", user) + field("PASSWORD", password)
        // EXTERNAL: the broker has the certificate.
        default: return []
        }
    }
}
