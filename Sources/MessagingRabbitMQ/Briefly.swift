internal import Logging

/// Does what an orderly end would like to have done, and lets it be where the broker is away: an end must not wait for it.
func briefly(_ what: String, logger: Logger, _ body: @escaping @Sendable () async throws -> Void) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask {
            do {
                try await body()
            } catch {
                logger.info("left undone at the end", metadata: ["what": "\(what)", "error": "\(error)"])
            }
        }
        group.addTask {
            do {
                try await ContinuousClock().sleep(for: .seconds(3))
            } catch {
                // It was done in time.
            }
        }
        await group.next()
        group.cancelAll()
    }
}
