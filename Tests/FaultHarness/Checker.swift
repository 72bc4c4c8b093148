import Synchronization

/// Counts what became of every message, and says which promises were broken.
///
/// The promises: confirmed work of an at-least-once method is executed; work of an at-most-once method is executed once at most;
/// each key has one effect at most; every call ends exactly once.
package final class Checker: Sendable {
    /// How a call ended.
    package enum End: Sendable, Hashable { case reply, failure(String), deadline }

    /// What the method of a message promises.
    package enum Promise: Sendable { case atMostOnce, atLeastOnce, call }

    private struct Entry {
        var promise: Promise
        var isConfirmed = false
        var isUnknown = false
        var executions = 0
        var effects = 0
        var ends: [End] = []
    }

    private let entries = Mutex<[String: Entry]>([:])

    package init() {}

    /// A message is about to be sent.
    package func offered(_ id: String, _ promise: Promise) {
        self.entries.withLock { $0[id] = Entry(promise: promise) }
    }

    /// Its sender was told that the broker has it.
    package func confirmed(_ id: String) { self.change(id) { $0.isConfirmed = true } }

    /// Its sender was told that the broker may have it or not.
    package func unknown(_ id: String) { self.change(id) { $0.isUnknown = true } }

    /// Its handler was started.
    package func executed(_ id: String) { self.change(id) { $0.executions += 1 } }

    /// Its handler changed something.
    package func effect(_ id: String) { self.change(id) { $0.effects += 1 } }

    /// Its call ended.
    package func ended(_ id: String, _ end: End) { self.change(id) { $0.ends.append(end) } }

    private func change(_ id: String, _ body: (inout Entry) -> Void) {
        self.entries.withLock { entries in
            // What was never offered is counted too: it is a message that nobody sent.
            body(&entries[id, default: Entry(promise: .call, executions: 1000)])
        }
    }

    /// How many messages fulfil a condition.
    private func count(_ condition: (Entry) -> Bool) -> Int {
        self.entries.withLock { $0.values.count(where: condition) }
    }

    /// How many messages were offered.
    package var offers: Int { self.count { _ in true } }
    /// How many were confirmed.
    package var confirmations: Int { self.count(\.isConfirmed) }
    /// How many were executed, once or more often.
    package var executions: Int { self.count { $0.executions > 0 } }
    /// How many calls were answered.
    package var replies: Int { self.count { $0.ends.contains(.reply) } }
    /// Of how many it is not known whether the broker had them.
    package var unknowns: Int { self.count(\.isUnknown) }

    /// Whether all that has to be executed was.
    package var isSettled: Bool {
        self.count { $0.promise == .atLeastOnce && $0.isConfirmed && $0.executions == 0 } == 0
            && self.count { $0.promise == .call && $0.ends.isEmpty } == 0
    }

    /// The promises that were broken, at most ten of them spelled out.
    package var violations: [String] {
        self.entries.withLock { entries in
            var found: [String] = []
            for (id, entry) in entries {
                if entry.promise == .atLeastOnce, entry.isConfirmed, entry.executions == 0 {
                    found.append("\(id) was confirmed and never executed")
                }
                if entry.promise != .atLeastOnce, entry.executions > 1 {
                    found.append("\(id) was executed \(entry.executions) times")
                }
                if entry.effects > 1 { found.append("\(id) had \(entry.effects) effects") }
                if entry.promise == .call, entry.ends.count != 1 {
                    found.append("the call \(id) ended \(entry.ends.count) times: \(entry.ends)")
                }
            }
            return found.count > 10 ? Array(found.prefix(10)) + ["and \(found.count - 10) more"] : found
        }
    }
}
