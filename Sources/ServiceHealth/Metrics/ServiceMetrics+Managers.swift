internal import Messaging
internal import ServiceRuntime

extension ServiceMetrics {
    /// What the periodic tasks have done.
    static func addPeriodicTasks(_ services: [ManagerService], to text: inout PrometheusText) {
        let tasks = services.flatMap { service in
            service.periodicTaskFigures.map { (self.labels(of: service) + [("task", $0.status.name)], $0) }
        }
        let counters: [(name: String, help: String, value: KeyPath<PeriodicTaskStatus, Int>)] = [
            ("runs", "Runs of a periodic task that were started.", \.runs),
            ("failures", "Runs that ended with an error, or took longer than they may.", \.failures),
            ("overruns", "Runs that took longer than the time from one to the next.", \.overruns),
            ("skipped_runs", "Runs that were left out.", \.skippedRuns),
        ]
        for counter in counters {
            let name = "steward_periodic_\(counter.name)_total"
            text.family(name, .counter, counter.help)
            for (labels, task) in tasks { text.sample(name, labels, task.status[keyPath: counter.value]) }
        }
        text.family("steward_periodic_running", .gauge, "Whether the task runs now.")
        for (labels, task) in tasks { text.sample("steward_periodic_running", labels, task.status.isRunning ? 1 : 0) }
        text.family("steward_periodic_enabled", .gauge, "Whether the task runs at all.")
        for (labels, task) in tasks { text.sample("steward_periodic_enabled", labels, task.status.isEnabled ? 1 : 0) }
        text.family("steward_periodic_last_success_age_seconds", .gauge, "Time since the last run that succeeded.")
        for (labels, task) in tasks {
            guard let age = task.lastSuccessAge else { continue }
            text.sample("steward_periodic_last_success_age_seconds", labels, age.seconds)
        }
        text.family("steward_periodic_run_seconds", .histogram, "How long runs took.")
        for (labels, task) in tasks { text.histogram("steward_periodic_run_seconds", labels, task.duration) }
    }

    /// What the schedulers were told.
    static func addCapabilities(_ services: [ManagerService], to text: inout PrometheusText) {
        text.family("steward_capability_reports_total", .counter, "Reports that all schedulers were sent.")
        for service in services {
            guard let reports = service.capabilityReports else { continue }
            text.sample("steward_capability_reports_total", self.labels(of: service), reports)
        }
    }
}
