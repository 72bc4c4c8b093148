import ArgumentParser
import ServiceLifecycle
import ServiceRuntime
import VolumeService
import WorkerCommand

@main
struct SchedulerWorkerCommand: WorkerCommand {
    static let launcher = SchedulerWorker.launcher
    static let configuration = describe(
        launcher,
        abstract: "Knows what the volume workers can do, and sends each new volume to the one that suits best.",
        host: "scheduler-1"
    )

    @OptionGroup var arguments: WorkerArguments

    static func main() async { await self.run() }

    static func services(in context: ManagerContext) throws -> [any Service] {
        [try SchedulerWorker.service(in: context)]
    }
}
