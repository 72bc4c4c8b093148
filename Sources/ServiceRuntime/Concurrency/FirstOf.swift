/// Waits until one of several things has happened, and lets go of the others.
///
/// All of them must end soon after they are cancelled.
package func firstOf(_ waits: [@Sendable () async -> Void]) async {
    await withTaskGroup(of: Void.self) { group in
        for wait in waits {
            group.addTask { await wait() }
        }
        await group.next()
        group.cancelAll()
    }
}
