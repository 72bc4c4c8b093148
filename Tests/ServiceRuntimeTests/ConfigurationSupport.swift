import Foundation

/// Writes files into a directory for the time of a closure; paths may have one folder.
func withConfigurationDirectory<Value>(_ files: [String: String], _ body: (String) throws -> Value) throws -> Value {
    let manager = FileManager.default
    let directory = manager.temporaryDirectory.appending(path: "steward-configuration-\(UUID().uuidString)")
    try manager.createDirectory(at: directory, withIntermediateDirectories: true)
    defer {
        do {
            try manager.removeItem(at: directory)
        } catch {
            // A test of what happens to files may have removed it.
        }
    }
    for (path, text) in files {
        let file = directory.appending(path: path)
        try manager.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
    return try body(directory.path)
}

/// Writes a file for the time of a closure.
func withConfigurationFile<Value>(
    _ text: String,
    named name: String = "worker.json",
    _ body: (String) throws -> Value
) throws -> Value {
    try withConfigurationDirectory([name: text]) { try body("\($0)/\(name)") }
}

/// Writes a file anew.
func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
}

/// Removes a file that is there.
func remove(_ path: String) {
    do {
        try FileManager.default.removeItem(atPath: path)
    } catch {
        // It has been removed before.
    }
}
