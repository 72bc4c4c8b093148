import ArgumentParser
import ServiceLifecycle
import ServiceRuntime
import VolumeService
import WorkerCommand

@main
struct VolumeWorkerCommand: WorkerCommand {
    static let launcher = VolumeWorker.launcher
    static let configuration = describe(
        launcher,
        abstract: "Keeps volumes as sparse files, and serves them on a message broker.",
        host: "node-1"
    )

    @OptionGroup var arguments: WorkerArguments

    static func main() async { await self.run() }

    static func services(in context: ManagerContext) throws -> [any Service] {
        try VolumeWorker.services(in: context)
    }
}
