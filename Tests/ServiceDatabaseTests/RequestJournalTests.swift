import Foundation
import GRDB
import Testing

@testable import Messaging
@testable import ServiceDatabase

@Suite(.timeLimit(.minutes(3))) struct RequestJournalTests {
    static let migrations = [
        SchemaMigration("effects") { database in
            // Without a unique key: what happens twice shall be seen.
            try database.execute(sql: "CREATE TABLE effect (name TEXT NOT NULL)")
        }
    ]

    private func open(
        _ path: String,
        configuration: SQLiteRequestJournal.Configuration = .init(),
        now: @escaping @Sendable () -> UTCTime = { .now }
    ) throws -> (ServiceStore, SQLiteRequestJournal) {
        let store = try ServiceStore(at: .file(path), migrations: Self.migrations)
        return (store, try SQLiteRequestJournal(store, configuration: configuration, now: now))
    }

    private func delivery(_ key: String, attempts: Int = 0, replays: Int = 0) -> RequestDelivery {
        RequestDelivery(key: key, method: "m", attempts: attempts, replays: replays)
    }

    private func request(_ key: String?) -> RPCContext.Request {
        RPCContext.Request(
            method: "m",
            isCall: false,
            userID: nil,
            uniqueID: key,
            deadline: nil,
            isRedelivered: false,
            callMonitorTimeout: nil,
            attempt: 1,
            journalKey: key
        )
    }

    // MARK: Over restarts

    @Test func `FAULTS 32: what was done is known after a restart, with its reply`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            do {
                let (_, journal) = try self.open(path)
                #expect(try await journal.begin(self.delivery("a")) == .run(attempt: 1))
                try await journal.complete("a", reply: [1, 2, 0, 255])
                #expect(try await journal.begin(self.delivery("b")) == .run(attempt: 1))
            }
            let (_, journal) = try self.open(path)
            #expect(try await journal.begin(self.delivery("a")) == .done(reply: [1, 2, 0, 255]))
            #expect(try await journal.begin(self.delivery("b")) == .run(attempt: 2))
            try await journal.withdraw("b")
            #expect(try await journal.begin(self.delivery("b")) == .run(attempt: 2))
            try await journal.forget("b")
            #expect(try await journal.begin(self.delivery("b")) == .run(attempt: 1))
        }
    }

    @Test func `FAULTS 40: a copy that was announced is known after a restart`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            do {
                let (_, journal) = try self.open(path)
                for key in ["retry", "park", "sent"] { _ = try await journal.begin(self.delivery(key)) }
                #expect(try await journal.leave("retry", for: .retry(attempts: 1)))
                #expect(try await journal.leave("park", for: .deadLetters(attempts: 1, reason: .invalidArguments)))
                #expect(try await journal.leave("sent", for: .retry(attempts: 1)))
                try await journal.left("sent")
            }
            let (_, journal) = try self.open(path)
            #expect(try await journal.begin(self.delivery("retry")) == .leave(.retry(attempts: 1)))
            #expect(
                try await journal.begin(self.delivery("park"))
                    == .leave(.deadLetters(attempts: 1, reason: .invalidArguments))
            )
            #expect(try await journal.begin(self.delivery("sent")) == .superseded)
            #expect(try await journal.begin(self.delivery("sent", attempts: 1)) == .run(attempt: 2))
        }
    }

    @Test func `the schemas of service and journal know nothing of each other`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            _ = try self.open(path)
            // An earlier version of the program, without a journal, still opens the database.
            let store = try ServiceStore(at: .file(path), migrations: Self.migrations)
            let later = SchemaMigration("later") { try $0.execute(sql: "CREATE TABLE later (id INTEGER)") }
            _ = try ServiceStore(at: .file(path), migrations: Self.migrations + [later])
            try await store.write { try $0.execute(sql: "INSERT INTO steward_request_schema VALUES (99)") }
            let error = #expect(throws: ServiceStoreError.self) { try SQLiteRequestJournal(store) }
            #expect(error?.code == .newerSchema)
        }
    }

    // MARK: With an effect

    @Test func `an effect and its completion are written together or not at all`() async throws {
        struct Stop: Error {}
        try await withDirectory { directory in
            let (store, journal) = try self.open(directory + "/a.sqlite")
            let (first, second) = (self.request("a"), self.request("b"))
            for request in [first, second] {
                #expect(try await journal.begin(self.delivery(request.uniqueID ?? "")) == .run(attempt: 1))
            }
            try await store.write { database in
                try database.execute(sql: "INSERT INTO effect VALUES ('a')")
                try journal.complete(first, returning: ["size": 7], in: database)
            }
            await #expect(throws: Stop.self) {
                try await store.write { database in
                    try database.execute(sql: "INSERT INTO effect VALUES ('b')")
                    try journal.complete(second, in: database)
                    throw Stop()
                }
            }
            guard case .done(let reply?) = try await journal.begin(self.delivery("a")) else {
                Issue.record("the end of the request was not noted with its reply")
                return
            }
            let payload = try ReplyPayload(decoding: reply, contentType: "application/json")
            #expect(try payload.result?.value() == ["size": 7])
            #expect(try await journal.begin(self.delivery("b")) == .run(attempt: 2))
            #expect(try await store.read { try String.fetchAll($0, sql: "SELECT name FROM effect") } == ["a"])
        }
    }

    @Test func `of two attempts at a time only one has an effect`() async throws {
        try await withDirectory { directory in
            let (store, journal) = try self.open(directory + "/a.sqlite")
            let request = self.request("a")
            _ = try await journal.begin(self.delivery("a"))
            let refused = await withTaskGroup(of: Bool.self) { group in
                for _ in 1...8 {
                    group.addTask {
                        do {
                            try await store.write { database in
                                try database.execute(sql: "INSERT INTO effect VALUES ('a')")
                                try journal.complete(request, in: database)
                            }
                            return false
                        } catch {
                            #expect(error is RequestAlreadyCompleted)
                            return true
                        }
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(refused == 7)
            #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM effect") } == 1)
        }
    }

    @Test func `a request that the journal has forgotten is done all the same`() async throws {
        try await withDirectory { directory in
            let (store, journal) = try self.open(directory + "/a.sqlite")
            let (named, nameless) = (self.request("a"), self.request(nil))
            try await store.write { try journal.complete(named, in: $0) }
            try await store.write { try journal.complete(nameless, in: $0) }
            try await store.write { try journal.complete(nil, in: $0) }
            #expect(try await journal.begin(self.delivery("a")) == .done(reply: nil))
            #expect(try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM steward_request") } == 1)
        }
    }

    // MARK: Bounds

    @Test func `what is old is forgotten`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            let start = UTCTime.now
            let (_, journal) = try self.open(path) { start }
            _ = try await journal.begin(self.delivery("a"))
            try await journal.complete("a", reply: nil)
            let day: Int64 = 86_400_000
            let (_, sooner) = try self.open(path) { UTCTime(milliseconds: start.milliseconds + 7 * day - 1) }
            #expect(try await sooner.begin(self.delivery("a")) == .done(reply: nil))
            let (_, later) = try self.open(path) { UTCTime(milliseconds: start.milliseconds + 7 * day + 1) }
            #expect(try await later.begin(self.delivery("a")) == .run(attempt: 1))
        }
    }

    @Test func `only so many are remembered, also without a restart`() async throws {
        try await withDirectory { directory in
            var configuration = SQLiteRequestJournal.Configuration()
            configuration.maximumCount = 100
            let (store, journal) = try self.open(directory + "/a.sqlite", configuration: configuration)
            for key in ["running", "moving"] { _ = try await journal.begin(self.delivery(key)) }
            #expect(try await journal.leave("moving", for: .retry(attempts: 1)))
            for number in 1...2_100 {
                _ = try await journal.begin(self.delivery("\(number)"))
                try await journal.complete("\(number)", reply: nil)
                if number == 150 {
                    // Over the limit, and these are the oldest: what is underway is kept all the same.
                    _ = try SQLiteRequestJournal(store, configuration: configuration)
                    #expect(try await journal.begin(self.delivery("running")) == .run(attempt: 2))
                    #expect(try await journal.begin(self.delivery("moving")) == .leave(.retry(attempts: 1)))
                    #expect(try await journal.begin(self.delivery("1")) == .run(attempt: 1))
                }
            }
            let count = try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM steward_request") ?? 0 }
            #expect(count <= 1_100)
            #expect(try await journal.begin(self.delivery("2100")) == .done(reply: nil))
        }
    }

    @Test func `replies are bounded together, and the oldest make room before any request is forgotten`() async throws {
        try await withDirectory { directory in
            var configuration = SQLiteRequestJournal.Configuration()
            configuration.maximumReplySize = 1000
            let (store, journal) = try self.open(directory + "/a.sqlite", configuration: configuration)
            for number in 1...100 {
                _ = try await journal.begin(self.delivery("\(number)"))
                try await journal.complete("\(number)", reply: [UInt8](repeating: 7, count: 100))
                let size = try await store.read {
                    try Int.fetchOne($0, sql: "SELECT sum(length(reply)) FROM steward_request") ?? 0
                }
                #expect(size <= 1100)
            }
            #expect(try await journal.begin(self.delivery("1")) == .done(reply: []))
            #expect(try await journal.begin(self.delivery("100")) == .done(reply: [UInt8](repeating: 7, count: 100)))
        }
    }

    @Test func `a retention without an end forgets nothing`() throws {
        var configuration = SQLiteRequestJournal.Configuration()
        configuration.retention = .seconds(Int64.max)
        let store = try ServiceStore(at: .memory, migrations: [])
        _ = try SQLiteRequestJournal(store, configuration: configuration)
    }

    @Test func `many requests at a time keep apart`() async throws {
        try await withDirectory { directory in
            let (_, journal) = try self.open(directory + "/a.sqlite")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...200 {
                    group.addTask {
                        #expect(try await journal.begin(self.delivery("\(number)")) == .run(attempt: 1))
                        try await journal.complete("\(number)", reply: [UInt8(number % 256)])
                        #expect(
                            try await journal.begin(self.delivery("\(number)")) == .done(reply: [UInt8(number % 256)])
                        )
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    // MARK: Faults

    @Test func `FAULTS 44: a database that another process holds is a typed error, and then works again`()
        async throws
    {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            var settings = ServiceStore.Configuration()
            settings.busyTimeout = .milliseconds(50)
            let store = try ServiceStore(at: .file(path), migrations: Self.migrations, configuration: settings)
            let journal = try SQLiteRequestJournal(store)
            var permissive = GRDB.Configuration()
            permissive.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: path, configuration: permissive)
            try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
            let error = await #expect(throws: ServiceStoreError.self) {
                _ = try await journal.begin(self.delivery("a"))
            }
            #expect(error?.code == .busy)
            try await other.writeWithoutTransaction { try $0.execute(sql: "COMMIT") }
            #expect(try await journal.begin(self.delivery("a")) == .run(attempt: 1))
        }
    }

    @Test func `FAULTS 44: a damaged database is a typed error`() async throws {
        try await withDirectory { directory in
            let path = directory + "/a.sqlite"
            do {
                let (store, journal) = try self.open(path)
                for number in 1...500 { _ = try await journal.begin(self.delivery("\(number)")) }
                try await store.write { try $0.execute(sql: "PRAGMA user_version = 1") }
            }
            // All but the first page, which says what the file is.
            let file = try FileHandle(forUpdating: URL(filePath: path))
            let size = try file.seekToEnd()
            #expect(size > 8192)
            try file.seek(toOffset: 4096)
            try file.write(contentsOf: Data(repeating: 0xA5, count: Int(size) - 4096))
            try file.close()
            let error = await #expect(throws: ServiceStoreError.self) {
                let (_, journal) = try self.open(path)
                _ = try await journal.begin(self.delivery("a"))
            }
            #expect([.damaged, .cannotOpen].contains(error?.code))
        }
    }

    @Test func `commits of the service still wait for the disk`() async throws {
        try await withDirectory { directory in
            let (store, journal) = try self.open(directory + "/a.sqlite")
            _ = try await journal.begin(self.delivery("a"))
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await journal.begin(self.delivery("b")) }  // Cancelled, or not.
                group.cancelAll()
            }
            #expect(try await store.write { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        }
    }
}
