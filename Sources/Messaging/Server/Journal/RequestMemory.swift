internal import Logging
internal import Synchronization

/// What a server's journal knows of one request: the server's side of it.
///
/// A journal that fails stops nothing: what was run is acknowledged, although its end could not be noted. Only what is
/// about to be run has to wait for an answer.
struct RequestMemory: Sendable {
    let journal: any RequestJournal
    let health: JournalHealth
    let delivery: RequestDelivery
    /// Whether there is anything to remember it by; a request without an id is run whenever it is delivered.
    let isNamed: Bool

    func begin() async throws -> RequestStanding {
        guard self.isNamed else { return .run(attempt: self.delivery.attempts + 1) }
        do {
            let standing = try await self.surely { try await journal.begin(delivery) }
            self.health.worked()
            return standing
        } catch {
            self.health.failed(error)
            throw error
        }
    }

    func complete(reply: [UInt8]?) async {
        await self.note { try await journal.complete(delivery.key, reply: reply) }
    }

    func withdraw() async {
        await self.note { try await journal.withdraw(delivery.key) }
    }

    func leave(for onward: RequestOnward) async -> Bool {
        await self.note { try await journal.leave(delivery.key, for: onward) } ?? true
    }

    func left() async {
        await self.note { try await journal.left(delivery.key) }
    }

    @discardableResult
    private func note<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async -> Value? {
        guard self.isNamed else { return nil }
        do {
            let value = try await self.surely(body)
            self.health.worked()
            return value
        } catch {
            self.health.failed(error)
            return nil
        }
    }

    /// In a task of its own, awaited on the spot: what has happened is noted although the server's task may be cancelled.
    private func surely<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task(executorPreference: preferredTaskExecutor) { try await body() }.value
    }
}

/// Whether a server's journal answers: logged when that changes, and not for each request.
final class JournalHealth: Sendable {
    private let isFailing = Mutex(false)
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    func failed(_ error: any Error) {
        let wasFailing = self.isFailing.withLock { isFailing in
            defer { isFailing = true }
            return isFailing
        }
        guard !wasFailing else { return }
        self.logger.info(
            "the journal of requests fails; at-least-once requests are put off",
            metadata: ["error": "\(error)"]
        )
    }

    func worked() {
        let wasFailing = self.isFailing.withLock { isFailing in
            defer { isFailing = false }
            return isFailing
        }
        if wasFailing { self.logger.info("the journal of requests works again") }
    }
}
