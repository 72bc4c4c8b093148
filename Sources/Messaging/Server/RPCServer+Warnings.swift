internal import Logging

extension RPCServer {
    /// Warns of methods whose requests the broker may take back while they are worked on: an at-least-once request is
    /// acknowledged only at its end, and after the broker's limit the request is handed out again.
    func warnOfLongMethods() {
        guard let limit = self.transport.acknowledgementLimit else { return }
        let handlers = self.dispatcher.endpoints.flatMap(\.handlers.values).filter(\.delivery.isAtLeastOnce)
        let long = handlers.filter { $0.timeLimit.map { $0 >= limit } ?? false }
        if !long.isEmpty {
            self.logger.warning(
                "methods may run for longer than the broker waits for their acknowledgement",
                metadata: ["methods": "\(Self.names(of: long))", "limit": "\(limit)"]
            )
        }
        let endless = handlers.filter { $0.timeLimit == nil }
        if !endless.isEmpty {
            self.logger.info(
                "methods have no time limit, and the broker waits only so long for their acknowledgement",
                metadata: ["methods": "\(Self.names(of: endless))", "limit": "\(limit)"]
            )
        }
    }

    private static func names(of handlers: [RPCHandler]) -> String {
        handlers.map(\.name).sorted().joined(separator: ", ")
    }
}
