import Foundation
import Messaging

/// The built `steward` program, as people and scripts run it.
struct StewardProgram {
    struct Run: Sendable {
        let code: Int32
        let output: String
        let errors: String
        let duration: Duration

        /// The one line of `--output json`.
        func json() throws -> JSONValue { try JSONValue(parsing: self.output) }
    }

    /// It lies beside the program that runs the tests.
    static var path: String {
        get throws {
            let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return URL(filePath: tests).deletingLastPathComponent().appending(path: "steward").path
        }
    }

    /// Starts the program; the broker's URL is in its environment and nowhere else.
    static func start(_ arguments: [String], url: String? = nil) throws -> ChildProcess {
        var environment = ProcessInfo.processInfo.environment
        environment["STEWARD_URL"] = try url ?? InteropEnvironment.brokerURL()
        return try ChildProcess(self.path, arguments, environment: environment)
    }

    /// Runs the program to its end.
    static func run(_ arguments: [String], input: String = "", url: String? = nil) async throws -> Run {
        let start = ContinuousClock.now
        let process = try Self.start(arguments, url: url)
        process.write(input)
        process.closeInput()
        let output = await process.output.remainder()
        let errors = await process.errors.remainder()
        let code = await process.exit()
        return Run(code: code, output: output, errors: errors, duration: ContinuousClock.now - start)
    }
}
