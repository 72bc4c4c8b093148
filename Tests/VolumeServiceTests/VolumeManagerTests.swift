import Foundation
import Messaging
import ServiceDatabase
import ServiceRuntime
import Testing

@testable import VolumeService

@Suite struct VolumeManagerTests {
    @Test func `a volume lives from its creation to its deletion`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory)
            try await manager.initHost()
            let one = try id("one")
            let created = try await manager.createVolume(CreateVolume(volumeID: one, size: 1, name: "Données"))
            #expect(created.status == .available)
            #expect(created.name == "Données")
            #expect(created.host == "node-1")
            #expect(try await manager.volume(one) == created)
            let extended = try await manager.extendVolume(one, to: 3)
            #expect(extended.size == 3)
            #expect(extended.createdAt == created.createdAt)
            #expect(try await manager.volumes() == [extended])
            let check = try await manager.checkVolume(one)
            #expect(check.isConsistent)
            #expect(check.storedBytes == 3 << 30)
            try await manager.deleteVolume(one)
            let error = await #expect(throws: VolumeError.self) { try await manager.volume(one) }
            #expect(error?.code == .notFound)
            #expect(try names(in: directory) == [])
        }
    }

    @Test func `every request may come twice`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory)
            try await manager.initHost()
            let one = try id("one")
            let request = CreateVolume(volumeID: one, size: 1)
            let first = try await manager.createVolume(request)
            #expect(try await manager.createVolume(request) == first)
            let extended = try await manager.extendVolume(one, to: 2)
            #expect(try await manager.extendVolume(one, to: 2) == extended)
            try await manager.deleteVolume(one)
            try await manager.deleteVolume(one)
        }
    }

    @Test func `another size under the same id is a conflict, and smaller is invalid`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory)
            try await manager.initHost()
            let one = try id("one")
            _ = try await manager.createVolume(CreateVolume(volumeID: one, size: 2))
            let conflict = await #expect(throws: VolumeError.self) {
                try await manager.createVolume(CreateVolume(volumeID: one, size: 3))
            }
            #expect(conflict?.code == .conflict)
            let smaller = await #expect(throws: VolumeError.self) { try await manager.extendVolume(one, to: 1) }
            #expect(smaller?.code == .invalidInput)
            let missing = await #expect(throws: VolumeError.self) {
                try await manager.extendVolume(try id("two"), to: 1)
            }
            #expect(missing?.code == .notFound)
            for size in [0, -5] {
                let invalid = await #expect(throws: VolumeError.self) {
                    try await manager.createVolume(CreateVolume(volumeID: try id("three"), size: size))
                }
                #expect(invalid?.code == .invalidInput)
            }
            #expect(try await manager.volumes().count == 1)
        }
    }

    @Test func `a creation that fails for lack of space is an error that can be asked for again`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 2)
            try await manager.initHost()
            _ = try await manager.createVolume(CreateVolume(volumeID: try id("one"), size: 1))
            let two = CreateVolume(volumeID: try id("two"), size: 2)
            let error = await #expect(throws: VolumeError.self) { try await manager.createVolume(two) }
            #expect(error?.code == .insufficientSpace)
            let failed = try await manager.volume(try id("two"))
            #expect(failed.status == .error)
            #expect(failed.fault?.isEmpty == false)
            try await manager.deleteVolume(try id("one"))
            #expect(try await manager.createVolume(two).status == .available)
        }
    }

    @Test func `a failed extension leaves the volume as the directory holds it`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            let one = try id("one")
            _ = try await manager.createVolume(CreateVolume(volumeID: one, size: 1))
            for (fault, size) in [(FaultyDriver.Fault.before, 1), (.after, 2)] {
                await driver.fail(fault)
                await #expect(throws: VolumeError.self) { try await manager.extendVolume(one, to: 2) }
                await driver.fail(nil)
                let volume = try await manager.volume(one)
                #expect(volume.status == .available)
                #expect(volume.size == size)
            }
        }
    }

    @Test func `a failed deletion is visible, and can be asked for again`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            let one = try id("one")
            _ = try await manager.createVolume(CreateVolume(volumeID: one, size: 1))
            await driver.fail(.before)
            await #expect(throws: VolumeError.self) { try await manager.deleteVolume(one) }
            #expect(try await manager.volume(one).status == .errorDeleting)
            let conflict = await #expect(throws: VolumeError.self) {
                try await manager.createVolume(CreateVolume(volumeID: one, size: 1))
            }
            #expect(conflict?.code == .conflict)
            await driver.fail(nil)
            try await manager.deleteVolume(one)
            #expect(try names(in: directory) == [])
        }
    }

    @Test func `changes of one volume wait for each other`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            let one = try id("one")
            await withTaskGroup(of: Void.self) { group in
                for round in 0..<30 {
                    group.addTask {
                        do {
                            switch round % 3 {
                            case 0: _ = try await manager.createVolume(CreateVolume(volumeID: one, size: 1))
                            case 1: _ = try await manager.extendVolume(one, to: 1)
                            default: try await manager.deleteVolume(one)
                            }
                        } catch {
                            // An extension may find no volume; what counts is that nothing overlaps and all agrees.
                        }
                    }
                }
            }
            #expect(await driver.overlaps == 0)
            let known = try await manager.volumes().map { "volume-\($0.id)" }
            #expect(try names(in: directory) == known)
        }
    }

    @Test func `a request that is cancelled while it works leaves no volume between two states`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            let one = try id("one")
            await driver.close()
            let request = Task { try await manager.createVolume(CreateVolume(volumeID: one, size: 1)) }
            #expect(try await eventually { await driver.isWaiting })
            request.cancel()
            await driver.open()
            _ = await request.result
            #expect(try await manager.volume(one).status == .available)
        }
    }

    @Test func `capabilities say what is left, and follow each change`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory, capacity: 5)
            #expect(manager.serviceCapabilities.latest == nil)
            try await manager.initHost()
            #expect(manager.serviceCapabilities.latest?["free_capacity_gb"]?.doubleValue == 5)
            _ = try await manager.createVolume(CreateVolume(volumeID: try id("one"), size: 2))
            let latest = try #require(manager.serviceCapabilities.latest)
            #expect(latest["free_capacity_gb"]?.doubleValue == 3)
            #expect(latest["allocated_capacity_gb"]?.doubleValue == 2)
            #expect(latest["total_capacity_gb"]?.doubleValue == 5)
            #expect(latest["volume_backend_name"] == "directory")
            #expect(latest["storage_protocol"] == "file")
            #expect(latest["thin_provisioning_support"] == false)
            #expect(latest["backend_state"] == "up")
            #expect(try await manager.capabilities(discover: true).freeCapacity == 3)
        }
    }

    @Test func `a driver that cannot be measured is reported as down`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            await driver.fail(.before)
            await #expect(throws: VolumeError.self) { try await manager.refreshCapabilities() }
            #expect(manager.serviceCapabilities.latest?["backend_state"] == "down")
            #expect(manager.serviceCapabilities.latest?["free_capacity_gb"]?.doubleValue == 0)
            await driver.fail(nil)
            try await manager.refreshCapabilities()
            #expect(manager.serviceCapabilities.latest?["backend_state"] == "up")
        }
    }

    @Test func `a driver that hangs is reported as down when its time is over`() async throws {
        try await withDirectory { directory in
            let driver = FaultyDriver(try makeDriver(directory))
            let manager = try makeManager(directory, driver: driver)
            try await manager.initHost()
            await driver.close()
            let report = Task { try await manager.reportDriverStatus() }
            #expect(try await eventually { await driver.isWaiting })
            report.cancel()
            #expect(manager.serviceCapabilities.latest?["backend_state"] == "down")
            await driver.open()
            _ = await report.result
            #expect(manager.serviceCapabilities.latest?["backend_state"] == "up")
        }
    }

    @Test func `a check finds what does not agree`() async throws {
        try await withDirectory { directory in
            let manager = try makeManager(directory)
            try await manager.initHost()
            let one = try id("one")
            _ = try await manager.createVolume(CreateVolume(volumeID: one, size: 1))
            #expect(truncate(directory + "/volumes/volume-one", 5) == 0)
            let check = try await manager.checkVolume(one)
            #expect(!check.isConsistent)
            #expect(check.expectedBytes == 1 << 30)
            #expect(check.storedBytes == 5)
            #expect(check.finding?.contains("5 bytes") == true)
            let error = await #expect(throws: VolumeError.self) { try await manager.checkVolume(try id("two")) }
            #expect(error?.code == .notFound)
        }
    }
}

@Suite struct KeyedQueueTests {
    @Test func `who waits for a key can be cancelled, and the next one gets it`() async throws {
        let queue = KeyedQueue<String>()
        let (held, release) = AsyncStream.makeStream(of: Void.self)
        let (entered, enter) = AsyncStream.makeStream(of: Void.self)
        let holder = Task {
            try await queue.run("a") {
                enter.finish()
                for await _ in held {}
            }
        }
        for await _ in entered {}
        let cancelled = Task { try await queue.run("a") { Issue.record("it was cancelled") } }
        #expect(try await eventually { queue.waiting(for: "a") == 1 })
        let next = Task { try await queue.run("a") { true } }
        #expect(try await eventually { queue.waiting(for: "a") == 2 })
        // Another key does not wait.
        #expect(try await queue.run("b") { true })
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        release.finish()
        try await holder.value
        #expect(try await next.value)
        #expect(try await queue.run("a") { true })
    }

    @Test func `an error lets the next one in`() async throws {
        struct Refusal: Error {}
        let queue = KeyedQueue<Int>()
        await #expect(throws: Refusal.self) { try await queue.run(1) { throw Refusal() } }
        #expect(try await queue.run(1) { true })
    }
}
