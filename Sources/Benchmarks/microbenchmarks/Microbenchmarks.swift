import Glibc

/// Runs one operation many times, under a tool that counts instructions: see `scripts/bench micro`.
@main
enum Microbenchmarks {
    static let all =
        codecBenchmarks + dispatchBenchmarks + routingBenchmarks + callingBenchmarks + schedulingBenchmarks

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments == ["list"] {
            for benchmark in self.all { print(benchmark.name, benchmark.iterations) }
            return
        }
        guard arguments.count == 2, let benchmark = self.all.first(where: { $0.name == arguments.first }),
            let iterations = arguments.last.flatMap({ Int($0) }), iterations > 0
        else {
            print("usage: microbenchmarks list | NAME ITERATIONS")
            exit(2)
        }
        let executor = OneThreadExecutor()
        let outcome = executor.run {
            let operation = try await benchmark.prepare()
            for _ in 0..<iterations { try await operation() }
        }
        switch outcome {
        case .success: break
        case .failure(let error):
            print("error: \(error)")
            exit(1)
        case nil:
            print("error: the operation waits for something that never comes")
            exit(1)
        }
    }
}

/// Something that is done again and again.
struct Microbenchmark: Sendable {
    let name: String
    /// How often it is done at least, so that a count of it tells something.
    let iterations: Int
    /// Makes what is needed beforehand, and answers the operation.
    let prepare: @Sendable () async throws -> () async throws -> Void
}

/// Uses a value, so that the compiler cannot leave out how it came about.
@inline(never)
func use<Value>(_ value: Value) {
    withExtendedLifetime(value) {}
}
