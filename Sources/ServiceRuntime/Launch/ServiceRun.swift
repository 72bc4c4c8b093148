internal import Logging
internal import Messaging
internal import ServiceLifecycle

/// A service group from its start to its end, whatever its services do.
struct ServiceRun: Sendable {
    private let group: ServiceGroup
    private let limit: Duration
    private let clock: MonotonicClock
    private let logger: Logger

    /// Creates a run.
    ///
    /// A graceful shutdown may take as long as `limit`, zero for as long as it takes. The services have the same limit for
    /// what they run, and a little more to reply and to close.
    init(_ group: ServiceGroup, limit: Duration, clock: MonotonicClock, logger: Logger) {
        self.group = group
        self.limit = limit
        self.clock = clock
        self.logger = logger
    }

    /// Runs the services until they end by themselves or after a signal.
    ///
    /// - Throws: What a service threw; `stopped` where they had to be left behind.
    func untilEnd(signals: @escaping @Sendable (_ onSignal: @Sendable (String) -> Void) async -> Void) async throws {
        let ended = Eventual<Result<Void, any Error>>()
        // Not a child task: a service that ignores its cancellation must not keep the process from its end.
        let services = Task {
            do {
                try await self.group.run()
                ended.fulfil(.success(()))
            } catch {
                ended.fulfil(.failure(error))
            }
        }
        let first = Eventual<String>()
        let second = Eventual<String>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await signals { signal in
                    if first.current == nil { first.fulfil(signal) } else { second.fulfil(signal) }
                }
            }
            await self.supervise(ended, first: first, second: second)
            group.cancelAll()
        }
        if ended.current == nil {
            services.cancel()
            let clock = self.clock
            // A task of its own, awaited on the spot: it has to be waited for although this task may be cancelled.
            await Task {
                await firstOf([
                    { await ended.wait() },
                    { _ = await clock.sleep(for: ServiceLauncher.cancellationGrace) },
                ])
            }.value
        }
        guard let result = ended.current else {
            throw ServiceError(
                .stopped,
                "services did not end \(ServiceLauncher.cancellationGrace) after they were cancelled"
            )
        }
        try result.get()
    }

    /// Returns when the services have ended, or are to be cancelled.
    private func supervise(
        _ ended: Eventual<Result<Void, any Error>>,
        first: Eventual<String>,
        second: Eventual<String>
    ) async {
        await firstOf([{ await ended.wait() }, { await first.wait() }])
        guard ended.current == nil, let signal = first.current else { return }
        ServiceManagerNotifier().send("STOPPING=1", "STATUS=stopping after \(signal)")
        self.logger.info("stopping", metadata: ["signal": "\(signal)"])
        await self.group.triggerGracefulShutdown()
        var waits: [@Sendable () async -> Void] = [{ await ended.wait() }, { await second.wait() }]
        if self.limit > .zero {
            let clock = self.clock
            let limit = self.limit + ServiceLauncher.cancellationGrace
            waits.append { _ = await clock.sleep(for: limit) }
        }
        await firstOf(waits)
        guard ended.current == nil else { return }
        let reason = second.current.map { "second signal \($0)" } ?? "the limit of \(self.limit) is over"
        self.logger.info("services are cancelled", metadata: ["reason": "\(reason)"])
    }
}
