internal import GRDB
internal import Glibc
internal import Synchronization

/// Whether a database can be used, by what became of the last reading and the last writing.
///
/// They are kept apart: a database that another process holds can be read and not be written, and each reading would
/// otherwise end the outage that the next writing begins.
final class ServiceStoreHealth: Sendable {
    /// What was tried.
    enum Access { case read, write }

    /// Which file it is, whatever its name.
    private struct FileIdentity: Equatable {
        let device: UInt64
        let number: UInt64

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            self.device = UInt64(status.st_dev)
            self.number = UInt64(status.st_ino)
        }
    }

    private struct State {
        var read: ServiceStoreError?
        var write: ServiceStoreError?
        var file: FileIdentity?

        var trouble: ServiceStoreError? { write ?? read }
    }

    private let location: ServiceStore.Location
    private let onTrouble: (@Sendable (ServiceStoreError?) -> Void)?
    private let state = Mutex(State())
    /// Held while somebody is told, so that the telling keeps the order of what happened.
    private let telling = Mutex(())

    init(_ location: ServiceStore.Location, onTrouble: (@Sendable (ServiceStoreError?) -> Void)?) {
        self.location = location
        self.onTrouble = onTrouble
    }

    /// Why the database cannot be used; `nil` where it can.
    var trouble: ServiceStoreError? { state.withLock(\.trouble) }

    /// Remembers which file was opened.
    ///
    /// SQLite goes on writing to a file that was moved away or deleted, and what it writes there is lost.
    func watchFile() {
        guard let path = location.path else { return }
        let file = FileIdentity(path)
        state.withLock { $0.file = file }
    }

    /// Uses the database, and notes what became of it; errors of SQLite become errors of the store.
    func watching<Value>(_ access: Access, _ body: () async throws -> Value) async throws -> Value {
        do {
            try checkFile()
            let value = try await body()
            note(nil, access)
            return value
        } catch let error as DatabaseError {
            let error = ServiceStoreError(error, at: location)
            // Others are about the statement, and show that the database works.
            if error.isOutage { note(error, access) }
            throw error
        } catch let error as ServiceStoreError {
            if error.isOutage { note(error, access) }
            throw error
        }
    }

    private func checkFile() throws(ServiceStoreError) {
        guard let path = location.path, let opened = state.withLock(\.file) else { return }
        guard FileIdentity(path) == opened else {
            throw ServiceStoreError(.damaged, "\(location): it was moved, deleted or replaced; put it back, or restart")
        }
    }

    private func note(_ error: ServiceStoreError?, _ access: Access) {
        telling.withLock { _ in
            let change = state.withLock { state -> (before: Bool, after: Bool) in
                let before = state.trouble != nil
                switch access {
                case .read: state.read = error
                case .write: state.write = error
                }
                return (before, state.trouble != nil)
            }
            if change.before != change.after { onTrouble?(error) }
        }
    }
}

extension ServiceStoreError {
    /// Whether the database as a whole cannot be used, and not only what was asked of it.
    fileprivate var isOutage: Bool { [.cannotOpen, .busy, .full, .damaged].contains(code) }
}
