internal import Messaging
internal import ServiceRuntime

/// What `/metrics` answers: read from what the services count anyway, when it is asked for.
///
/// The labels are bounded: methods are those that are served, and all others are one, `other`.
enum ServiceMetrics {
    static func text(
        of services: [ManagerService],
        transport: (any Transport)?,
        own: PrometheusMetrics,
        readiness: Readiness,
        isLive: Bool,
        uptime: Duration
    ) -> String {
        var text = PrometheusText()
        text.family("steward_up_seconds", .gauge, "How long the program has run.")
        text.sample("steward_up_seconds", [], uptime.seconds)
        text.family("steward_live", .gauge, "Whether the program's threads make progress.")
        text.sample("steward_live", [], isLive ? 1 : 0)
        text.family("steward_ready", .gauge, "Whether messages come and go; 0.5 where some wait or are refused.")
        text.sample("steward_ready", [], readiness.level == .ready ? 1 : readiness.isReady ? 0.5 : 0)
        self.addServers(services, to: &text)
        self.addProbes(services, to: &text)
        self.addPeriodicTasks(services, to: &text)
        self.addCapabilities(services, to: &text)
        if let transport {
            self.addConnections(transport.figures, to: &text)
            self.addClients(transport.replies.clientFigures, to: &text)
        }
        own.add(to: &text)
        return text.text
    }

    static func labels(of service: ManagerService) -> [PrometheusText.Label] {
        [("topic", service.target.topic), ("host", service.target.server ?? "")]
    }

    private static func labels(of server: RPCServer) -> [PrometheusText.Label] {
        [("topic", server.target.topic), ("host", server.target.server ?? "")]
    }

    private static func addServers(_ services: [ManagerService], to text: inout PrometheusText) {
        let servers = services.flatMap(\.rpcServers).map { server in
            (self.labels(of: server), server.figures)
        }
        let methods = servers.flatMap { labels, figures in
            figures.methods.map { method in
                let name = method.name.isEmpty ? "other" : method.name
                return (labels + [("namespace", method.namespace ?? ""), ("method", name)], method)
            }
        }
        text.family("steward_requests_running", .gauge, "Requests that run.")
        for (labels, method) in methods { text.sample("steward_requests_running", labels, method.running) }
        text.family("steward_requests_total", .counter, "Requests that have ended, by how they ended.")
        for (labels, method) in methods {
            for outcome in method.outcomes {
                text.sample("steward_requests_total", labels + [("outcome", outcome.name)], outcome.count)
            }
        }
        text.family("steward_refusals_total", .counter, "Requests that were not run, by what was wrong with them.")
        for (labels, method) in methods {
            for (kind, count) in method.refusals.sorted(by: { $0.key < $1.key }) {
                text.sample("steward_refusals_total", labels + [("kind", kind)], count)
            }
        }
        self.addDeliveries(methods, to: &text)
        self.addDistributions("steward_request_seconds", "How long handlers ran.", methods, \.runTime, to: &text)
        self.addDistributions(
            "steward_request_wait_seconds",
            "How long requests waited here for their handler.",
            methods,
            \.queueWait,
            to: &text
        )
        text.family("steward_handlers_busy", .gauge, "Places for handlers that are taken.")
        for (labels, figures) in servers { text.sample("steward_handlers_busy", labels, figures.running) }
        text.family("steward_handlers_limit", .gauge, "Places for handlers.")
        for (labels, figures) in servers { text.sample("steward_handlers_limit", labels, figures.concurrency) }
        text.family("steward_requests_waiting", .gauge, "Requests that have arrived and wait for a place.")
        for (labels, figures) in servers { text.sample("steward_requests_waiting", labels, figures.waiting) }
    }

    /// What became of requests that are done at least once.
    private static func addDeliveries(
        _ methods: [([PrometheusText.Label], RPCServerFigures.Method)],
        to text: inout PrometheusText
    ) {
        text.family("steward_retries_total", .counter, "Requests that were sent on for another attempt.")
        for (labels, method) in methods where method.retries > 0 {
            text.sample("steward_retries_total", labels, method.retries)
        }
        text.family("steward_redeliveries_total", .counter, "Those of them whose worker was lost.")
        for (labels, method) in methods where method.redeliveries > 0 {
            text.sample("steward_redeliveries_total", labels, method.redeliveries)
        }
        text.family("steward_dead_letters_total", .counter, "Requests that were given up, by the reason.")
        for (labels, method) in methods {
            for (reason, count) in method.deadLetters.sorted(by: { $0.key < $1.key }) {
                text.sample("steward_dead_letters_total", labels + [("reason", reason)], count)
            }
        }
    }

    private static func addDistributions(
        _ name: String,
        _ help: String,
        _ methods: [([PrometheusText.Label], RPCServerFigures.Method)],
        _ distribution: KeyPath<RPCServerFigures.Method, RPCServerFigures.Distribution>,
        to text: inout PrometheusText
    ) {
        text.family(name, .histogram, help)
        for (labels, method) in methods { text.histogram(name, labels, method[keyPath: distribution]) }
    }

    private static func addProbes(_ services: [ManagerService], to text: inout PrometheusText) {
        // Not by the queue: the name of a fanout queue is another one after each start.
        let probes = services.flatMap(\.rpcServers).flatMap { server in
            server.selfProbes.map { (self.labels(of: server) + [("path", $0.path)], $0) }
        }
        text.family("steward_self_probes_sent_total", .counter, "Messages that the service sent itself.")
        for (labels, probe) in probes { text.sample("steward_self_probes_sent_total", labels, probe.sent) }
        text.family("steward_self_probes_returned_total", .counter, "Those of them that came back in time.")
        for (labels, probe) in probes { text.sample("steward_self_probes_returned_total", labels, probe.returned) }
        text.family("steward_self_probe_seconds", .gauge, "How long the last one was under way.")
        for (labels, probe) in probes {
            if let roundTrip = probe.roundTrip { text.sample("steward_self_probe_seconds", labels, roundTrip.seconds) }
        }
    }
}
