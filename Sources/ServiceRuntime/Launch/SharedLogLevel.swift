internal import Logging
internal import Synchronization

/// The level of all loggers of a program, which may change while it runs.
final class SharedLogLevel: Sendable {
    private let index: Atomic<Int>

    init(_ level: Logger.Level) {
        self.index = Atomic(Self.index(of: level))
    }

    var current: Logger.Level { Logger.Level.allCases[self.index.load(ordering: .relaxed)] }

    func set(_ level: Logger.Level) {
        self.index.store(Self.index(of: level), ordering: .relaxed)
    }

    private static func index(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}

/// Writes what its handler writes, at the program's level unless its logger was given one of its own.
struct SharedLevelLogHandler: LogHandler {
    private var handler: any LogHandler
    private let shared: SharedLogLevel
    private var own: Logger.Level?

    init(_ handler: any LogHandler, level: SharedLogLevel) {
        self.handler = handler
        self.handler.logLevel = .trace
        self.shared = level
    }

    var logLevel: Logger.Level {
        get { self.own ?? self.shared.current }
        set { self.own = newValue }
    }

    var metadata: Logger.Metadata {
        get { self.handler.metadata }
        set { self.handler.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { self.handler.metadataProvider }
        set { self.handler.metadataProvider = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.handler[metadataKey: key] }
        set { self.handler[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) { self.handler.log(event: event) }
}
