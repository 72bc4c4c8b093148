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

    fileprivate struct Entry {
        var promise: Promise
        var isConfirmed = false
        var isUnknown = false
        var executions = 0
        var effects = 0
        var ends: [End] = []
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// Whose end was seen and counted; their hashes suffice to recognise one that comes again.
        var done: Set<Int> = []
        var counts = Counts()
        var failures: [String: Int] = [:]
        /// What was done again although it was done.
        var repeated: [String] = []
    }

    fileprivate struct Counts {
        var offers = 0
        var confirmations = 0
        var executions = 0
        var replies = 0
        var unknowns = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// A message is about to be sent.
    package func offered(_ id: String, _ promise: Promise) {
        self.state.withLock { $0.entries[id] = Entry(promise: promise) }
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
    package func ended(_ id: String, _ end: End) {
        self.change(id) { $0.ends.append(end) }
        let code: Substring
        switch end {
        case .reply: return
        case .deadline: code = "timeout"
        case .failure(let text): code = text.prefix { $0 != ":" }
        }
        self.state.withLock { $0.failures[String(code), default: 0] += 1 }
    }

    private func change(_ id: String, _ body: (inout Entry) -> Void) {
        self.state.withLock { state in
            guard state.entries[id] != nil || !state.done.contains(id.hashValue) else {
                var again = Entry(promise: .call)
                body(&again)
                // A confirm may come after the execution; a second execution or end must not.
                if again.executions + again.effects + again.ends.count > 0 { state.repeated.append(id) }
                return
            }
            // What was never offered is counted too: it is a message that nobody sent.
            body(&state.entries[id, default: Entry(promise: .call, executions: 1000)])
        }
    }

    /// Forgets the messages of which nothing more can come but what would break a promise, so that long runs take no more memory
    /// than short ones.
    package func forgetSettled() {
        self.state.withLock { state in
            for (id, entry) in state.entries {
                let isDone =
                    switch entry.promise {
                    // Without a reply it may still be executed, once.
                    case .call: entry.ends.count == 1 && entry.executions == 1
                    case .atLeastOnce: entry.isConfirmed && entry.effects == 1
                    case .atMostOnce: entry.effects == 1
                    }
                guard isDone else { continue }
                state.entries[id] = nil
                state.done.insert(id.hashValue)
                state.counts.add(entry)
            }
        }
    }

    private func count(_ counted: KeyPath<Counts, Int>, _ condition: (Entry) -> Bool) -> Int {
        self.state.withLock { $0.counts[keyPath: counted] + $0.entries.values.count(where: condition) }
    }

    /// How many messages were offered.
    package var offers: Int { self.count(\.offers) { _ in true } }
    /// How many were confirmed.
    package var confirmations: Int { self.count(\.confirmations, \.isConfirmed) }
    /// How many were executed, once or more often.
    package var executions: Int { self.count(\.executions) { $0.executions > 0 } }
    /// How many calls were answered.
    package var replies: Int { self.count(\.replies) { $0.ends.contains(.reply) } }
    /// Of how many it is not known whether the broker had them.
    package var unknowns: Int { self.count(\.unknowns, \.isUnknown) }

    /// How often calls failed, by the first word of the error: its code.
    package var failures: [String: Int] {
        self.state.withLock { $0.failures }
    }

    /// Whether all that has to be executed was, and every call has ended.
    package var isSettled: Bool {
        self.state.withLock { state in
            state.entries.values.allSatisfy { entry in
                switch entry.promise {
                case .atLeastOnce: !entry.isConfirmed || entry.executions > 0
                case .call: !entry.ends.isEmpty
                case .atMostOnce: true
                }
            }
        }
    }

    /// The promises that were broken, at most ten of them spelled out.
    package var violations: [String] {
        self.state.withLock { state in
            var found = state.repeated.map { "\($0) was done again after its end" }
            for (id, entry) in state.entries {
                if entry.promise == .atLeastOnce, entry.isConfirmed, entry.executions == 0 {
                    found.append("\(id) was confirmed and never executed")
                }
                if entry.promise != .atLeastOnce, entry.executions > 1 {
                    let what = entry.executions > 1_000 ? "executed and never sent" : "executed more than once"
                    found.append("\(id) was \(what)")
                }
                if entry.effects > 1 { found.append("\(id) had \(entry.effects) effects") }
                if entry.promise == .call, entry.ends.count > 1 {
                    found.append("the call \(id) ended \(entry.ends.count) times: \(entry.ends)")
                }
            }
            return found.count > 10 ? Array(found.prefix(10)) + ["and \(found.count - 10) more"] : found
        }
    }
}

extension Checker.Counts {
    fileprivate mutating func add(_ entry: Checker.Entry) {
        self.offers += 1
        self.confirmations += entry.isConfirmed ? 1 : 0
        self.executions += entry.executions > 0 ? 1 : 0
        self.replies += entry.ends.contains(.reply) ? 1 : 0
        self.unknowns += entry.isUnknown ? 1 : 0
    }
}

extension Checker: CustomStringConvertible {
    /// The counts.
    package var description: String {
        "\(self.offers) offered, \(self.confirmations) confirmed, \(self.executions) executed, \(self.replies) answered"
    }
}
