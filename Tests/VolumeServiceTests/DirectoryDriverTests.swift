import Foundation
import Messaging
import Testing

@testable import VolumeService

@Suite struct DirectoryDriverTests {
    @Test(arguments: [
        "", ".", "..", "../escape", "a/b", "/etc/passwd", "a.b", "a\0b", "a b", "ä", "a\n", "%2e%2e", "~",
        String(repeating: "a", count: 65),
    ])
    func `what could mean something in a path is no volume id`(text: String) {
        #expect(VolumeID(text) == nil)
    }

    @Test(arguments: ["a", "Z-9_", "0191f2b0-3c1e-7c55-9a2b-5d6e7f809112", String(repeating: "a", count: 64)])
    func `letters, digits, hyphens and underscores make a volume id`(text: String) {
        #expect(VolumeID(text)?.text == text)
    }

    @Test func `a volume is a sparse file of its size, and goes with its deletion`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let one = try id("one")
            try await driver.create(one, size: 2)
            var status = stat()
            try #require(stat(directory + "/volumes/volume-one", &status) == 0)
            #expect(status.st_size == 2 << 30)
            #expect(status.st_blocks < 128)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(try await driver.inventory().volumes[one]?.size == 2)
            try await driver.delete(one)
            #expect(try names(in: directory) == [])
        }
    }

    @Test func `creating and deleting again is no error, creating with another size is`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let one = try id("one")
            try await driver.create(one, size: 1)
            try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/content"))
            let file = try #require(FileHandle(forWritingAtPath: directory + "/volumes/volume-one"))
            try file.write(contentsOf: Data("kept".utf8))
            try file.close()
            try await driver.create(one, size: 1)
            let content = try #require(FileHandle(forReadingAtPath: directory + "/volumes/volume-one"))
            #expect(try content.read(upToCount: 4) == Data("kept".utf8))
            let error = await #expect(throws: VolumeError.self) { try await driver.create(one, size: 2) }
            #expect(error?.code == .conflict)
            try await driver.delete(one)
            try await driver.delete(one)
        }
    }

    @Test func `a volume becomes larger, keeps its content, and never becomes smaller`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let one = try id("one")
            try await driver.create(one, size: 1)
            try await driver.extend(one, to: 3)
            try await driver.extend(one, to: 3)
            #expect(try await driver.inventory().volumes[one]?.size == 3)
            let smaller = await #expect(throws: VolumeError.self) { try await driver.extend(one, to: 2) }
            #expect(smaller?.code == .conflict)
            let missing = try id("missing")
            let error = await #expect(throws: VolumeError.self) { try await driver.extend(missing, to: 2) }
            #expect(error?.code == .notFound)
            #expect(error?.remoteFailure.className == "VolumeNotFound")
            #expect(error?.remoteFailure.kwargs == ["volume_id": "missing"])
        }
    }

    @Test func `a symbolic link under a volume's name is neither followed nor removed`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let victim = directory + "/victim"
            try Data("precious".utf8).write(to: URL(fileURLWithPath: victim))
            let link = directory + "/volumes/volume-one"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: victim)
            let one = try id("one")
            for change in [
                { try await driver.create(one, size: 1) }, { try await driver.extend(one, to: 2) },
                { try await driver.delete(one) },
            ] as [() async throws -> Void] {
                let error = await #expect(throws: VolumeError.self) { try await change() }
                #expect(error?.code == .backendFailed)
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: victim)) == Data("precious".utf8))
            let inventory = try await driver.inventory()
            #expect(inventory.volumes.isEmpty)
            #expect(inventory.strangers == ["volume-one"])
        }
    }

    @Test func `a symbolic link under the temporary name is replaced, not followed`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let victim = directory + "/victim"
            try Data("precious".utf8).write(to: URL(fileURLWithPath: victim))
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/volumes/.new-volume-one",
                withDestinationPath: victim
            )
            try await driver.create(try id("one"), size: 1)
            #expect(try Data(contentsOf: URL(fileURLWithPath: victim)) == Data("precious".utf8))
            #expect(try names(in: directory) == ["volume-one"])
        }
    }

    @Test func `a symbolic link in place of the volumes' directory is refused`() async throws {
        try await withDirectory { directory in
            try FileManager.default.createDirectory(
                atPath: directory + "/elsewhere",
                withIntermediateDirectories: false
            )
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/volumes",
                withDestinationPath: directory + "/elsewhere"
            )
            let error = #expect(throws: VolumeError.self) { try makeDriver(directory) }
            #expect(error?.code == .backendFailed)
        }
    }

    @Test func `the directory may be moved while it is in use`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            try FileManager.default.moveItem(atPath: directory + "/volumes", toPath: directory + "/moved")
            try FileManager.default.createDirectory(atPath: directory + "/volumes", withIntermediateDirectories: false)
            try await driver.create(try id("one"), size: 1)
            #expect(FileManager.default.fileExists(atPath: directory + "/moved/volume-one"))
            #expect(try names(in: directory) == [])
        }
    }

    @Test func `more than the capacity is refused with what is left`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory, capacity: 4)
            try await driver.create(try id("one"), size: 3)
            let error = await #expect(throws: VolumeError.self) { try await driver.create(try id("two"), size: 2) }
            #expect(error?.code == .insufficientSpace)
            #expect(error?.details["requested"] == 2)
            #expect(error?.details["quota"] == 4.0)
            #expect(error?.details["consumed"] == 3.0)
            try await driver.create(try id("two"), size: 1)
            let larger = await #expect(throws: VolumeError.self) { try await driver.extend(try id("one"), to: 4) }
            #expect(larger?.code == .insufficientSpace)
            #expect(try names(in: directory) == ["volume-one", "volume-two"])
            let space = try await driver.space()
            #expect(space.total == 4 << 30)
            #expect(space.free == 0)
            #expect(space.allocated == 4 << 30)
        }
    }

    @Test func `the reserve is kept back`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory, capacity: 10, reserved: 25)
            let error = await #expect(throws: VolumeError.self) { try await driver.create(try id("one"), size: 9) }
            #expect(error?.code == .insufficientSpace)
            // Whole GiB: 25 % of 10 are 2.
            try await driver.create(try id("one"), size: 8)
        }
    }

    @Test(arguments: [Int.max, 1 << 33, 1 << 40])
    func `a size beyond all disks is refused, not wrapped around`(size: Int) async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let error = await #expect(throws: VolumeError.self) { try await driver.create(try id("one"), size: size) }
            #expect(error?.code == .insufficientSpace)
        }
    }

    @Test(arguments: [0, -1, Int.min])
    func `a size that is not positive is invalid input`(size: Int) async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let error = await #expect(throws: VolumeError.self) { try await driver.create(try id("one"), size: size) }
            #expect(error?.code == .invalidInput)
        }
    }

    @Test(arguments: [ENOSPC, EDQUOT, EFBIG])
    func `a full disk, an exhausted quota and too large a file count as lack of space`(number: Int32) {
        #expect(SystemError("test", number: number).isLackOfSpace)
        #expect(!SystemError("test", number: EIO).isLackOfSpace)
    }

    @Test func `a second process with the same directory fails to start`() async throws {
        try await withDirectory { directory in
            var first: DirectoryDriver? = try makeDriver(directory)
            let error = #expect(throws: VolumeError.self) { try makeDriver(directory) }
            #expect(error?.message.contains("another worker") == true)
            _ = try await first?.space()
            first = nil
            _ = try makeDriver(directory)
        }
    }

    @Test func `temporary files of interrupted creations are removed, and nothing else`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            try await driver.create(try id("one"), size: 1)
            for name in [".new-volume-two", "notes.txt", "volume-a.b", "volume-"] {
                try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/volumes/" + name))
            }
            #expect(try await driver.removeLeftovers() == [".new-volume-two"])
            #expect(try names(in: directory) == ["notes.txt", "volume-", "volume-a.b", "volume-one"])
            #expect(try await driver.inventory().strangers == ["notes.txt", "volume-", "volume-a.b"])
        }
    }

    @Test func `what sparse files were promised is not free, although the disk has it still`() async throws {
        try await withDirectory { directory in
            let driver = try makeDriver(directory)
            let before = try await driver.space()
            try await driver.create(try id("one"), size: 1)
            let after = try await driver.space()
            // Others write to the same disk meanwhile.
            #expect(abs(before.free - after.free - (1 << 30)) < 512 << 20)
        }
    }

    @Test(arguments: [-1.0, 0, 1e12, .infinity, .nan])
    func `a capacity that makes no sense is refused`(capacity: Double) async throws {
        try await withDirectory { directory in
            let error = #expect(throws: VolumeError.self) { try makeDriver(directory, capacity: capacity) }
            #expect(error?.code == .invalidInput)
        }
    }
}
