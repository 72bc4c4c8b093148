import Messaging
import ServiceRuntime

/// A round that finds when the next of many periodic tasks is due.
let schedulingBenchmarks = [1, 1_000].map { scheduling(among: $0) }

private func scheduling(among count: Int) -> Microbenchmark {
    Microbenchmark(name: "next-due-\(count)", iterations: count == 1 ? 400 : 20) {
        let manager = BusyManager(count: count)
        let context = try PeriodicTaskContext(for: manager)
        return { use(try await manager.periodicTasks(context: context)) }
    }
}

private struct BusyManager: Manager {
    let count: Int
    let host = "node-1"
    let endpoint = RPCEndpoint {}

    var periodicTasks: [PeriodicTask] {
        for number in 0..<self.count {
            PeriodicTask("task-\(number)", every: .seconds(3_600)) { _ in }
        }
    }
}
