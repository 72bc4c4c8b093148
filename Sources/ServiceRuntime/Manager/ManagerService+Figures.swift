package import Messaging

/// What a periodic task has done so far, for metrics.
package struct PeriodicTaskFigures: Sendable {
    /// What became of it.
    package let status: PeriodicTaskStatus
    /// How long the runs took that have ended.
    package let duration: RPCServerFigures.Distribution
    /// How long ago the last run ended that succeeded; `nil` where none did.
    package let lastSuccessAge: Duration?
}

extension ManagerService {
    /// What each periodic task has done so far.
    package var periodicTaskFigures: [PeriodicTaskFigures] {
        switch self.tasks {
        case .success(let context): context.table.entries.map(\.figures)
        case .failure: []
        }
    }

    /// How many reports of its capabilities all schedulers were sent; `nil` for a manager that makes none.
    package var capabilityReports: Int? {
        (self.manager as? any SchedulerDependentManager)?.serviceCapabilities.reports
    }
}
