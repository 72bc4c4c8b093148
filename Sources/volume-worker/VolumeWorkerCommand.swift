import ArgumentParser
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

    static func service(in context: ManagerContext) throws -> ManagerService {
        try VolumeWorker.service(in: context)
    }
}
