extension RPCEndpoint {
    /// oslo's `rpc_ping_enabled`: the null namespace at 1.0 (wire contract 4.2).
    static let osloPing = RPCEndpoint {
        RPCMethod<Void, String>("oslo_rpc_server_ping", since: "1.0").handled { _ in "pong" }
    }
}
