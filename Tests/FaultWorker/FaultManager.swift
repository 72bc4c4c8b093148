import GRDB
import Glibc
import Messaging
import ServiceDatabase
import ServiceRuntime

/// What the worker does: each start and each effect is a row, and no key is unique: what happens twice shall be seen.
final class FaultManager: Manager {
    static let migrations = [
        SchemaMigration("ledger") { database in
            try database.execute(sql: "CREATE TABLE started (number INTEGER NOT NULL)")
            try database.execute(sql: "CREATE TABLE effect (number INTEGER NOT NULL)")
        }
    ]

    struct Number: Codable, Sendable { var number: Int }
    struct Pause: Codable, Sendable {
        var number: Int
        var milliseconds: Int
    }

    /// Three starts, a quarter of a second apart.
    static let surely = DeliveryContract.atLeastOnce(attempts: 3, backoff: .constant(.milliseconds(250)))

    let host: String
    private let store: ServiceStore
    private let journal: SQLiteRequestJournal?
    private let effects: EffectFile

    init(host: String, store: ServiceStore, journal: SQLiteRequestJournal?) {
        self.host = host
        self.effects = EffectFile("\(store.location).effects")
        self.store = store
        self.journal = journal
    }

    func initHostWithRPC() async throws { FaultWorker.say("READY") }

    var endpoint: RPCEndpoint {
        RPCEndpoint {
            // At least once: the effect and the end of the request are written together.
            RPCMethod<Pause, Void>("act", since: "1.0", delivery: Self.surely).handled { context, item in
                try await self.note("started", item.number)
                try await Task.sleep(for: .milliseconds(item.milliseconds))
                try await self.store.write { database in
                    try database.execute(sql: "INSERT INTO effect VALUES (?)", arguments: [item.number])
                    try self.journal?.complete(context.request, in: database)
                }
            }
            // Kills its process.
            RPCMethod<Number, Void>("abort", since: "1.0", delivery: Self.surely).handled { _, item in
                try await self.note("started", item.number)
                abort()
            }
            // At most once.
            RPCMethod<Pause, Int>("once", since: "1.0").handled { _, item in
                try await self.note("started", item.number)
                try await Task.sleep(for: .milliseconds(item.milliseconds))
                try await self.note("effect", item.number)
                return item.number
            }
            // At most once, with a line in a file as its effect: much cheaper than a row.
            RPCMethod<Pause, Int>("mark", since: "1.0").handled { _, item in
                try await Task.sleep(for: .milliseconds(item.milliseconds))
                self.effects.add(item.number)
                return item.number
            }
            // Takes its time, and leaves nothing behind.
            RPCMethod<Pause, Int>("pause", since: "1.0").handled { _, item in
                try await Task.sleep(for: .milliseconds(item.milliseconds))
                return item.number
            }
            // Holds the thread that it runs on, as code does that knows nothing of tasks.
            RPCMethod<Pause, Int>("hold", since: "1.0").handled { _, item in
                usleep(UInt32(item.milliseconds) * 1000)
                return item.number
            }
            RPCMethod<Void, Int>("process", since: "1.0").handled { _ in Int(getpid()) }
        }
    }

    private func note(_ table: String, _ number: Int) async throws {
        try await self.store.write { database in
            try database.execute(sql: "INSERT INTO \(table) VALUES (?)", arguments: [number])
        }
    }
}

/// A file of numbers, one in a line; several processes may write, since a line is written in one piece.
final class EffectFile: Sendable {
    private let descriptor: Int32

    init(_ path: String) {
        self.descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else { fatalError("\(path) cannot be opened: \(errno)") }
    }

    deinit { close(self.descriptor) }

    func add(_ number: Int) {
        let line = Array("\(number)\n".utf8)
        guard write(self.descriptor, line, line.count) == line.count else { fatalError("not written: \(errno)") }
    }
}
