import InMemoryLogging
import Logging
import Messaging
import Synchronization

@testable import ServiceRuntime

/// What happened, in order, to be waited for.
final class Events: Sendable {
    private struct State {
        var names: [String] = []
        var waiters: [(name: String, count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var all: [String] { self.state.withLock(\.names) }

    func count(of name: String) -> Int { self.all.count { $0 == name } }

    func add(_ name: String) {
        let woken = self.state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.names.append(name)
            let counts = Dictionary(grouping: state.names) { $0 }.mapValues(\.count)
            let isWoken = { (waiter: (name: String, count: Int, continuation: CheckedContinuation<Void, Never>)) in
                counts[waiter.name, default: 0] >= waiter.count
            }
            let woken = state.waiters.filter(isWoken).map(\.continuation)
            state.waiters.removeAll(where: isWoken)
            return woken
        }
        for continuation in woken { continuation.resume() }
    }

    /// Waits until something has happened so many times.
    func wait(for name: String, count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                guard state.names.count(where: { $0 == name }) < count else { return true }
                state.waiters.append((name, count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A manager that does what a test tells it.
struct TestManager: Manager {
    var host = "node-1"
    var tasks: [PeriodicTask] = []
    var endpoint = RPCEndpoint(version: "2.5") {}
    var additionalEndpoints: [RPCEndpoint] = []
    var onInitHost: @Sendable () async throws -> Void = {}
    var onInitHostWithRPC: @Sendable () async throws -> Void = {}

    var periodicTasks: [PeriodicTask] { self.tasks }
    func initHost() async throws { try await self.onInitHost() }
    func initHostWithRPC() async throws { try await self.onInitHostWithRPC() }
}

/// A log that can be read.
struct TestLog: Sendable {
    let handler = InMemoryLogHandler()
    var logger: Logger { Logger(label: "test") { _ in self.handler } }

    func count(of message: String) -> Int { self.handler.entries.count { "\($0.message)" == message } }
}

/// Takes part in nothing until it is released, whatever becomes of its task: what a driver that hangs looks like.
final class Hang: Sendable {
    private let released = Eventual<Void>()

    func release() { self.released.fulfil() }

    func wait() async {
        // In a task of its own, so that a cancellation does not reach it.
        await Task { await self.released.wait() }.value
    }
}

/// A value that closures share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result {
        self.value.withLock { value in body(&value) }
    }
}
