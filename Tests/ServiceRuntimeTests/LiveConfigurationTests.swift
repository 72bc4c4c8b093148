import Foundation
import Logging
import Messaging
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(3))) struct LiveConfigurationTests {
    /// Notes how many readings it is asked about at the same time.
    private final class Watcher: Manager {
        let host = "node-1"
        var endpoint: RPCEndpoint { RPCEndpoint(version: "1.0") {} }
        private let counts = Mutex((running: 0, most: 0, changes: 0))
        private let isRefusing = Atomic(false)

        var most: Int { self.counts.withLock { $0.most } }
        var changes: Int { self.counts.withLock { $0.changes } }
        func refuse(_ isRefusing: Bool) { self.isRefusing.store(isRefusing, ordering: .relaxed) }

        func checkConfiguration(_ configuration: ServiceConfiguration) async throws {
            self.counts.withLock { counts in
                counts.running += 1
                counts.most = max(counts.most, counts.running)
            }
            await Task.yield()
            self.counts.withLock { $0.running -= 1 }
            if self.isRefusing.load(ordering: .relaxed) { throw TestFailure("not now") }
        }

        func configurationDidChange(_ configuration: ServiceConfiguration, changes: [ServiceOptionChange]) async {
            self.counts.withLock { $0.changes += 1 }
        }
    }

    /// A live configuration and the file that it is read from.
    private static func withLive(_ body: (LiveConfiguration, URL) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "steward-live-\(UUID().uuidString).json")
        try Self.write(.info, to: file)
        let outcome: Result<Void, any Error>
        do {
            let configuration = try ServiceConfiguration(environment: [:], files: [file.path])
            outcome = .success(try await body(LiveConfiguration(configuration), file))
        } catch {
            outcome = .failure(error)
        }
        try FileManager.default.removeItem(at: file)
        try outcome.get()
    }

    private static func write(_ level: Logger.Level, to file: URL) throws {
        try Data(#"{"log_level": "\#(level)"}"#.utf8).write(to: file, options: .atomic)
    }

    @Test func `readings of many tasks come one after the other, cancelled ones among them`() async throws {
        try await Self.withLive { live, file in
            let watcher = Watcher()
            live.add(watcher)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        if number % 4 == 0 { withUnsafeCurrentTask { $0?.cancel() } }
                        try Self.write(number % 2 == 0 ? .debug : .error, to: file)
                        try await live.readAgain()
                    }
                }
                try await group.waitForAll()
            }
            #expect(watcher.most == 1)
            #expect(watcher.changes >= 1)
            #expect([.debug, .error].contains(live.current[.logLevel]))
        }
    }

    @Test func `what a manager objects to is not taken over, and the next reading is tried again`() async throws {
        try await Self.withLive { live, file in
            let watcher = Watcher()
            live.add(watcher)
            watcher.refuse(true)
            try Self.write(.debug, to: file)
            let error = await #expect(throws: ServiceError.self) { try await live.readAgain() }
            #expect(error?.code == .invalidConfiguration)
            #expect(live.current[.logLevel] == .info)
            watcher.refuse(false)
            #expect(try await live.readAgain().map(\.name) == ["log_level"])
            #expect(live.current[.logLevel] == .debug)
            // The same again is no change.
            #expect(try await live.readAgain() == [])
            #expect(watcher.changes == 1)
        }
    }
}
