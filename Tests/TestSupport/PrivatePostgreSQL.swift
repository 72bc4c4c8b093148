import Foundation
import Glibc

/// A PostgreSQL server of one test, which may be stopped, killed and started again.
public struct PrivatePostgreSQL: Sendable {
    /// The server's folder, by which `scripts/postgresql` knows it.
    public let directory: String
    /// Where it answers, with its password.
    public let url: String
    /// The file with its certificate.
    public let certificate: String

    /// The server that all tests share, which `scripts/test` starts.
    ///
    /// - Throws: `TestBroker.Unavailable` where there is none: nothing is skipped.
    public static var sharedURL: String {
        get throws {
            guard let url = ProcessInfo.processInfo.environment["STEWARD_POSTGRESQL_URL"] else {
                throw TestBroker.Unavailable(
                    description:
                        "STEWARD_POSTGRESQL_URL is not set: run scripts/test, which starts a server and sets it"
                )
            }
            return url
        }
    }

    /// Starts a server, lends it, and removes it.
    public static func with<Result>(_ body: (PrivatePostgreSQL) async throws -> Result) async throws -> Result {
        let output = try await PrivateNode.run(self.script, ["start"])
        var variables: [String: String] = [:]
        for line in output.split(separator: "\n") where line.hasPrefix("export ") {
            let parts = line.dropFirst(7).split(separator: "=", maxSplits: 1)
            variables[String(parts[0])] = String(parts.last ?? "").replacingOccurrences(of: "\\", with: "")
        }
        guard let directory = variables["STEWARD_POSTGRESQL_DIR"], let url = variables["STEWARD_POSTGRESQL_URL"],
            let certificate = variables["STEWARD_POSTGRESQL_CA"]
        else {
            throw PrivateNode.Failure(description: "the server's start printed \(output)")
        }
        let server = PrivatePostgreSQL(directory: directory, url: url, certificate: certificate)
        let result: Result
        do {
            result = try await body(server)
        } catch {
            try await server.run("stop")
            throw error
        }
        try await server.run("stop")
        return result
    }

    /// Ends the server in order; its data stay.
    public func stop() async throws { try await self.run("stop", "--keep") }

    /// Ends the server as a crash would.
    public func kill() async throws { try await self.run("kill") }

    /// Starts the server again, with its port and data.
    public func start() async throws { try await self.run("start") }

    /// The server's process.
    public var processID: Int32 {
        get throws {
            let text = try String(contentsOfFile: "\(self.directory)/server.pid", encoding: .utf8)
            guard let id = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw PrivateNode.Failure(description: "no process id: \(text)")
            }
            return id
        }
    }

    /// Where the server answers, with options of libpq.
    public func url(_ options: String) -> String { "\(self.url)?\(options)" }

    private static var script: String {
        if let path = ProcessInfo.processInfo.environment["STEWARD_POSTGRESQL"] { return path }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("scripts/postgresql").path
    }

    private func run(_ arguments: String...) async throws {
        _ = try await PrivateNode.run(Self.script, arguments + [self.directory])
    }
}
