internal import Messaging
internal import ServiceRuntime

/// What `/readyz` answers.
enum HealthReport {
    static func json(_ readiness: Readiness, of services: [ManagerService]) -> JSONValue {
        .object([
            "status": .string("\(readiness.level)"),
            "reasons": .array(readiness.reasons.map { .string($0) }),
            "services": .array(services.map(self.json)),
        ])
    }

    private static func json(_ service: ManagerService) -> JSONValue {
        let readiness = service.readiness
        return .object([
            "topic": .string(service.target.topic),
            "host": .string(service.target.server ?? ""),
            "status": .string("\(readiness.level)"),
            "reasons": .array(readiness.reasons.map { .string($0) }),
            "self_probes": .array(service.selfProbes.map(self.json)),
        ])
    }

    private static func json(_ probe: SelfProbeStatus) -> JSONValue {
        .object([
            "path": .string(probe.path),
            "queue": .string(probe.queue),
            "sent": .integer(probe.sent),
            "returned": .integer(probe.returned),
            "round_trip": probe.roundTrip.map { .double($0.seconds) } ?? .null,
            "silent_for": probe.silence.map { .double($0.seconds) } ?? .null,
        ])
    }
}

extension Duration {
    /// Seconds with a fraction.
    var seconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
