internal import Messaging

extension ServiceOption where Value == String {
    /// `health_address`: where health and metrics are served; `127.0.0.1` by default, so that only this machine sees them.
    public static var healthAddress: Self {
        Self("health_address", default: "127.0.0.1", help: "the IP address of the health port") {
            $0.isEmpty ? "must not be empty" : nil
        }
    }
}

extension ServiceOption where Value == Int? {
    /// `health_port`: the TCP port of `/livez`, `/readyz` and `/metrics`; by default any free one, which the log names; 0
    /// for none.
    ///
    /// No number is the default, because many workers may share a machine, and all but one would find the port taken.
    public static var healthPort: Self {
        Self(
            "health_port",
            default: nil,
            in: 0...65535,
            help: "the TCP port of /livez, /readyz and /metrics; any free one where it is not set; 0 for none"
        )
    }
}

extension ServiceOption where Value == Duration {
    /// `liveness_limit`: how long the program's threads may do nothing before it is not live; 30 s by default.
    public static var livenessLimit: Self {
        Self("liveness_limit", default: .seconds(30), help: "how long threads may stand still in a live program") {
            $0 >= .seconds(1) ? nil : "must be at least one second"
        }
    }

    /// `self_probe_interval`: how often a service sends itself a message through its own queues; every 5 s by default, 0
    /// for never.
    ///
    /// Where none has come back for two intervals and 2 s, the service is not ready.
    public static var selfProbeInterval: Self {
        Self(
            "self_probe_interval",
            default: .seconds(5),
            help: "how often the own queues are probed; 0 for never"
        ) {
            $0 == .zero || $0 >= .milliseconds(100) ? nil : "must be 0, or at least 100 ms"
        }
    }
}
