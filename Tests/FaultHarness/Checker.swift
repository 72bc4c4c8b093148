import Synchronization

/// Counts what became of every message, and says which promises were broken.
///
/// The promises: confirmed work of an at-least-once method is executed; work of an at-most-once method is executed once at most;
/// each key has one effect at most; every call ends exactly once, by its own result, a typed error or its deadline.
package final class Checker: Sendable {
    /// How a call ended.
    package enum End: Sendable, Hashable {
        /// By its own result.
        case reply
        /// By a typed error, which is described.
        case failure(String)
        /// By its deadline.
        case deadline
        /// By anything else, such as the result of another call.
        case illegal(String)
    }

    /// What the method of a message promises.
    package enum Promise: Sendable { case atMostOnce, atLeastOnce, call }

    /// To whom a message goes.
    package enum Address: Sendable {
        /// One host, whose journal sees whatever comes again.
        case host
        /// Any host of a topic: each keeps its own journal, so that once at most is promised of each of them.
        case topic
    }

    /// How much later than its deadline a call may end, on a machine that has other things to do as well.
    package static let patience = Duration.seconds(5)

    fileprivate struct Ending {
        var end: End
        var time: ContinuousClock.Instant
    }

    fileprivate struct Entry {
        var promise: Promise
        var address = Address.host
        var isOffered = true
        /// When a call has to be at its end.
        var deadline: ContinuousClock.Instant?
        var isConfirmed = false
        var isUnknown = false
        /// How often, at each host.
        var executions: [String: Int] = [:]
        var effects: [String: Int] = [:]
        var endings: [Ending] = []

        /// How often something was done that may be done once: at its host, or at any one of them.
        func repetitions(of counts: [String: Int]) -> Int {
            switch self.address {
            case .host: counts.values.reduce(0, +)
            case .topic: counts.values.max() ?? 0
            }
        }
    }

    fileprivate struct State {
        var entries: [String: Entry] = [:]
        /// Whose end was seen and counted; their hashes suffice to recognise one that comes again.
        var done: Set<Int> = []
        /// What was done, and where, with messages whose end was seen, and which may be done elsewhere, or later, once: those to
        /// a topic, and those that were not done before.
        var doneAtHosts: Set<Int> = []
        var counts = Counts()
        var failures: [String: Int] = [:]
        /// What was broken by messages that are not among the entries any more.
        var broken: [String] = []
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

    // MARK: What happens

    /// A message is about to be sent; a call has to end before its deadline.
    package func offered(
        _ id: String,
        _ promise: Promise,
        to address: Address = .host,
        deadline: ContinuousClock.Instant? = nil
    ) {
        self.state.withLock { state in
            guard state.entries[id] == nil, !state.done.contains(id.hashValue) else {
                state.broken.append("\(id) was offered twice")
                return
            }
            state.entries[id] = Entry(promise: promise, address: address, deadline: deadline)
        }
    }

    /// Its sender was told that the broker has it.
    package func confirmed(_ id: String) { self.change(id) { $0.isConfirmed = true } }

    /// Its sender was told that the broker may have it or not.
    package func unknown(_ id: String) { self.change(id) { $0.isUnknown = true } }

    /// Its handler was started.
    package func executed(_ id: String, at host: String = "") {
        self.change(id) { $0.executions[host, default: 0] += 1 }
    }

    /// Its handler changed something.
    package func effect(_ id: String, at host: String = "") {
        self.change(id) { $0.effects[host, default: 0] += 1 }
    }

    /// Its call ended.
    package func ended(_ id: String, _ end: End, at time: ContinuousClock.Instant = .now) {
        self.change(id) { $0.endings.append(Ending(end: end, time: time)) }
        let code: Substring
        switch end {
        case .reply: return
        case .deadline: code = "timeout"
        case .failure(let text), .illegal(let text): code = text.prefix { $0 != ":" }
        }
        self.state.withLock { $0.failures[String(code), default: 0] += 1 }
    }

    private func change(_ id: String, _ body: (inout Entry) -> Void) {
        self.state.withLock { state in
            guard state.entries[id] != nil || !state.done.contains(id.hashValue) else {
                var again = Entry(promise: .call)
                body(&again)
                state.happenedAgain(id, again)
                return
            }
            // What was never offered is counted too: it is a message that nobody sent.
            body(&state.entries[id, default: Entry(promise: .call, isOffered: false)])
        }
    }

    /// Forgets the messages that have kept their promises, so that long runs take no more memory than short ones; asked while
    /// nothing is being sent.
    ///
    /// What was not done so far, because its sender was told that it failed, may be done later, once.
    package func forgetSettled() {
        self.state.withLock { state in
            for (id, entry) in state.entries {
                let isDone =
                    switch entry.promise {
                    case .call: !entry.executions.isEmpty
                    case .atLeastOnce: entry.isConfirmed && !entry.effects.isEmpty
                    case .atMostOnce: !entry.effects.isEmpty
                    }
                guard isDone || entry.executions.isEmpty else { continue }
                guard entry.violations(id, patience: Self.patience).isEmpty else { continue }
                state.entries[id] = nil
                state.done.insert(id.hashValue)
                if entry.address == .topic || !isDone {
                    for host in entry.executions.keys { state.doneAtHosts.insert("\(id) executed \(host)".hashValue) }
                    for host in entry.effects.keys { state.doneAtHosts.insert("\(id) effect \(host)".hashValue) }
                    state.doneAtHosts.insert("\(id) elsewhere".hashValue)
                }
                state.counts.add(entry)
            }
        }
    }

    // MARK: What came of it

    private func count(_ counted: KeyPath<Counts, Int>, _ condition: (Entry) -> Bool) -> Int {
        self.state.withLock { $0.counts[keyPath: counted] + $0.entries.values.count(where: condition) }
    }

    /// How many messages were offered.
    package var offers: Int { self.count(\.offers, \.isOffered) }
    /// How many were confirmed.
    package var confirmations: Int { self.count(\.confirmations, \.isConfirmed) }
    /// How many were executed, once or more often.
    package var executions: Int { self.count(\.executions) { !$0.executions.isEmpty } }
    /// How many calls were answered.
    package var replies: Int { self.count(\.replies, \.isAnswered) }
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
                case .atLeastOnce: !entry.isConfirmed || !entry.executions.isEmpty
                case .call: !entry.endings.isEmpty || !entry.isOffered
                case .atMostOnce: true
                }
            }
        }
    }

    /// The promises that were broken, at most ten of them spelled out.
    ///
    /// Asked when nothing is under way any more: a call that has not ended then never will.
    package var violations: [String] {
        self.state.withLock { state in
            let found = state.broken + state.entries.flatMap { $1.violations($0, patience: Self.patience) }
            return found.count > 10 ? Array(found.prefix(10)) + ["and \(found.count - 10) more"] : found
        }
    }
}

extension Checker.State {
    /// Something was done with a message whose end was seen.
    ///
    /// A confirm may come after the execution; a second execution or end must not.
    fileprivate mutating func happenedAgain(_ id: String, _ again: Checker.Entry) {
        let mayBeDone = self.doneAtHosts.contains("\(id) elsewhere".hashValue)
        var isBroken = !again.endings.isEmpty
        for host in again.executions.keys {
            isBroken = !self.doneAtHosts.insert("\(id) executed \(host)".hashValue).inserted || !mayBeDone || isBroken
        }
        for host in again.effects.keys {
            isBroken = !self.doneAtHosts.insert("\(id) effect \(host)".hashValue).inserted || !mayBeDone || isBroken
        }
        if isBroken { self.broken.append("\(id) was done again after its end") }
    }
}

extension Checker.Entry {
    fileprivate var isAnswered: Bool { self.endings.contains { $0.end == .reply } }

    fileprivate func violations(_ id: String, patience: Duration) -> [String] {
        guard self.isOffered else { return ["\(id) was never sent, and was executed or ended all the same"] }
        var found: [String] = []
        if self.promise == .atLeastOnce, self.isConfirmed, self.executions.isEmpty {
            found.append("\(id) was confirmed and never executed")
        }
        if self.promise != .atLeastOnce, self.repetitions(of: self.executions) > 1 {
            found.append("\(id) was executed more than once: \(self.executions)")
        }
        if self.repetitions(of: self.effects) > 1 { found.append("\(id) had more than one effect: \(self.effects)") }
        return self.promise == .call ? found + self.violationsOfCall(id, patience) : found
    }

    private func violationsOfCall(_ id: String, _ patience: Duration) -> [String] {
        var found: [String] = []
        if self.endings.isEmpty { found.append("the call \(id) has not ended") }
        if self.endings.count > 1 {
            found.append("the call \(id) ended \(self.endings.count) times: \(self.endings.map(\.end))")
        }
        for ending in self.endings {
            if case .illegal(let how) = ending.end { found.append("the call \(id) ended by \(how)") }
            if let deadline, ending.time > deadline + patience {
                found.append("the call \(id) ended \(ending.time - deadline) after its deadline")
            }
        }
        if self.isAnswered, self.executions.isEmpty { found.append("the call \(id) was answered and never executed") }
        return found
    }
}

extension Checker.Counts {
    fileprivate mutating func add(_ entry: Checker.Entry) {
        self.offers += 1
        self.confirmations += entry.isConfirmed ? 1 : 0
        self.executions += entry.executions.isEmpty ? 0 : 1
        self.replies += entry.isAnswered ? 1 : 0
        self.unknowns += entry.isUnknown ? 1 : 0
    }
}

extension Checker: CustomStringConvertible {
    /// The counts.
    package var description: String {
        "\(self.offers) offered, \(self.confirmations) confirmed, \(self.executions) executed, \(self.replies) answered"
    }
}
