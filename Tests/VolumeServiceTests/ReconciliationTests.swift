import Foundation
import GRDB
import ServiceDatabase
import Testing

@testable import VolumeService

@Suite struct ReconciliationTests {
    static let gib: Int64 = 1 << 30

    static func volume(_ status: Volume.Status, size: Int = 2, fault: String? = nil) throws -> Volume {
        Volume(
            id: try id("one"),
            size: size,
            status: status,
            fault: fault,
            host: "node-1",
            createdAt: "2026-01-02T03:04:05.678901",
            updatedAt: "2026-01-02T03:04:05.678901"
        )
    }

    static func stored(_ bytes: Int64) -> VolumeInventory.Stored { .init(bytes: bytes, writtenBytes: 0) }

    @Test func `a deletion is finished, whether the data is there or not`() throws {
        #expect(Reconciliation(of: try Self.volume(.deleting), stored: nil) == .delete)
        #expect(Reconciliation(of: try Self.volume(.deleting), stored: Self.stored(2 * Self.gib)) == .delete)
    }

    @Test func `a failed deletion stays visible until the data is gone`() throws {
        #expect(Reconciliation(of: try Self.volume(.errorDeleting), stored: Self.stored(2 * Self.gib)) == .keep)
        #expect(Reconciliation(of: try Self.volume(.errorDeleting), stored: nil) == .delete)
    }

    @Test(arguments: [Volume.Status.creating, .available, .extending, .error])
    func `data of the right size makes a volume available`(status: Volume.Status) throws {
        let volume = try Self.volume(status, fault: status == .error ? "missing" : nil)
        let expected: Reconciliation = status == .available ? .keep : .change(try Self.volume(.available))
        #expect(Reconciliation(of: volume, stored: Self.stored(2 * Self.gib)) == expected)
    }

    @Test(arguments: [Volume.Status.creating, .available, .extending])
    func `a volume without data is an error that says why`(status: Volume.Status) throws {
        guard case .change(let settled) = Reconciliation(of: try Self.volume(status), stored: nil) else {
            Issue.record("nothing is changed")
            return
        }
        #expect(settled.status == .error)
        #expect(settled.fault?.isEmpty == false)
        // Once said, it is not said again.
        #expect(Reconciliation(of: settled, stored: nil) == .keep)
    }

    @Test func `an extension that reached the disk counts`() throws {
        #expect(
            Reconciliation(of: try Self.volume(.extending), stored: Self.stored(5 * Self.gib))
                == .change(try Self.volume(.available, size: 5))
        )
    }

    @Test(arguments: [Self.gib, 5 * Self.gib, 2 * Self.gib + 1])
    func `data of another size is an error`(bytes: Int64) throws {
        guard case .change(let settled) = Reconciliation(of: try Self.volume(.available), stored: Self.stored(bytes))
        else {
            Issue.record("nothing is changed")
            return
        }
        #expect(settled.status == .error)
        #expect(settled.fault?.contains("\(bytes)") == true)
    }

    /// Everything that a crash can leave, in one directory.
    @Test func `a worker that starts after a crash brings database and directory to agree`() async throws {
        try await withDirectory { directory in
            do {
                let manager = try makeManager(directory)
                try await manager.initHost()
                for name in ["whole", "gone", "grown", "doomed", "half-made"] {
                    _ = try await manager.createVolume(CreateVolume(volumeID: try id(name), size: 1))
                }
            }
            let store = try ServiceStore(at: .file(directory + "/volumes.sqlite"), migrations: VolumeTable.migrations)
            try await store.write { database in
                try database.execute(sql: "UPDATE volume SET status = 'extending' WHERE id = 'grown'")
                try database.execute(sql: "UPDATE volume SET status = 'deleting' WHERE id = 'doomed'")
                try database.execute(sql: "UPDATE volume SET status = 'creating' WHERE id = 'half-made'")
                try database.execute(
                    sql: """
                        INSERT INTO volume VALUES ('never-made', NULL, 1, 'creating', NULL, '2026', '2026')
                        """
                )
            }
            let files = FileManager.default
            let volumes = directory + "/volumes/"
            try files.removeItem(atPath: volumes + "volume-gone")
            #expect(truncate(volumes + "volume-grown", 3 << 30) == 0)
            for name in [".new-volume-never-made", "volume-orphan"] {
                #expect(files.createFile(atPath: volumes + name, contents: Data()))
            }

            let manager = try makeManager(directory)
            try await manager.initHost()

            let statuses = try await manager.volumes().map { "\($0.id) \($0.status) \($0.size)" }
            #expect(
                statuses == [
                    "gone error 1", "grown available 3", "half-made available 1", "never-made error 1",
                    "whole available 1",
                ]
            )
            #expect(
                try names(in: directory) == ["volume-grown", "volume-half-made", "volume-orphan", "volume-whole"]
            )
            #expect(try await manager.diskUsage().orphans == [try id("orphan")])

            // What was interrupted can be asked for again.
            let again = try await manager.createVolume(CreateVolume(volumeID: try id("never-made"), size: 1))
            #expect(again.status == .available)
            #expect(again.fault == nil)
            // Data that nobody knows is not handed to somebody as a new volume.
            let error = await #expect(throws: VolumeError.self) {
                try await manager.createVolume(CreateVolume(volumeID: try id("orphan"), size: 1))
            }
            #expect(error?.code == .conflict)
        }
    }

    @Test func `a deletion that cannot be finished does not keep a worker from starting`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            _ = try await manager.createVolume(CreateVolume(volumeID: try id("one"), size: 1))
            await driver.fail(.before)
            await #expect(throws: VolumeError.self) { try await manager.deleteVolume(try id("one")) }
            var volume = try await manager.volume(try id("one"))
            volume.status = .deleting
            try await manager.table.save(volume)
            try await manager.reconcile()
            #expect(try await manager.volume(try id("one")).status == .errorDeleting)
            await driver.fail(nil)
            try await manager.deleteVolume(try id("one"))
        }
    }
}
