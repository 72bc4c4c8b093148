import Foundation
import Logging
import Messaging
import ServiceDatabase
import Testing

@testable import VolumeService

/// A new directory for the time of `body`.
func withDirectory<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("volumes-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    do {
        let value = try await body(directory.path)
        try FileManager.default.removeItem(at: directory)
        return value
    } catch {
        try FileManager.default.removeItem(at: directory)
        throw error
    }
}

/// A volume id that is written down.
func id(_ text: String) throws -> VolumeID {
    try #require(VolumeID(text))
}

/// What the volumes' directory holds.
func names(in directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory + "/volumes").sorted()
}

func makeDriver(
    _ directory: String,
    capacity: Double? = nil,
    reserved: Int = 0
) throws(VolumeError) -> DirectoryDriver {
    var configuration = DirectoryDriver.Configuration(statePath: directory)
    configuration.maximumCapacity = capacity
    configuration.reservedPercentage = reserved
    return try DirectoryDriver(configuration)
}

/// A manager over a directory, as a worker that starts would make it.
func makeManager(
    _ directory: String,
    host: String = "node-1",
    capacity: Double? = nil,
    driver: (any VolumeDriver)? = nil
) throws -> VolumeManager {
    let driver = try driver ?? makeDriver(directory, capacity: capacity)
    let store = try ServiceStore(at: .file(directory + "/volumes.sqlite"), migrations: VolumeTable.migrations)
    return VolumeManager(host: host, driver: driver, database: VolumeTable(store, host: host))
}

/// Waits until something is so, for 5 s at most.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(5)
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return false
}

/// A driver that fails on demand, before or after the work of the one beneath, and that shows what runs at the same time.
actor FaultyDriver: VolumeDriver {
    enum Fault { case before, after }

    nonisolated let information = VolumeDriverInformation(version: "0", storageProtocol: "fault")
    private let driver: DirectoryDriver
    private(set) var overlaps = 0
    private var fault: Fault?
    private var running: Set<VolumeID> = []
    private var gate: CheckedContinuation<Void, Never>?
    private var isGated = false

    init(_ driver: DirectoryDriver) { self.driver = driver }

    func fail(_ fault: Fault?) { self.fault = fault }

    /// Lets the next change wait until ``open()``.
    func close() { isGated = true }
    func open() {
        isGated = false
        gate?.resume()
        gate = nil
    }
    var isWaiting: Bool { gate != nil }

    private func change(_ id: VolumeID, _ body: () async throws(VolumeError) -> Void) async throws(VolumeError) {
        if !running.insert(id).inserted { overlaps += 1 }
        defer { running.remove(id) }
        if isGated { await withCheckedContinuation { gate = $0 } }
        if fault == .before { throw .backendFailed("as the test wants it", volumeID: id) }
        try await body()
        if fault == .after { throw .backendFailed("as the test wants it", volumeID: id) }
    }

    func removeLeftovers() async throws(VolumeError) -> [String] { try await driver.removeLeftovers() }
    func create(_ id: VolumeID, size: Int) async throws(VolumeError) {
        try await change(id) { () async throws(VolumeError) in try await driver.create(id, size: size) }
    }
    func extend(_ id: VolumeID, to size: Int) async throws(VolumeError) {
        try await change(id) { () async throws(VolumeError) in try await driver.extend(id, to: size) }
    }
    func delete(_ id: VolumeID) async throws(VolumeError) {
        try await change(id) { () async throws(VolumeError) in try await driver.delete(id) }
    }
    func inventory() async throws(VolumeError) -> VolumeInventory { try await driver.inventory() }
    func space() async throws(VolumeError) -> VolumeSpace {
        if isGated { await withCheckedContinuation { gate = $0 } }
        if fault != nil { throw .backendFailed("as the test wants it") }
        return try await driver.space()
    }
}
