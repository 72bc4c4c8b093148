internal import Logging
internal import Synchronization

/// What the loggers of a program write, which may change while it runs: a level for all, from the configuration or from an
/// operator, and others by prefix.
///
/// A prefix means the labels of loggers and the modules that log which begin with it; of several that fit the longest
/// counts.
final class LogLevels: Sendable {
    /// How many prefixes may have a level of their own.
    static let mostPrefixes = 64
    /// The longest prefix, in bytes.
    static let longestPrefix = 255

    private struct State {
        var configured: Logger.Level
        /// By prefix; the empty one is for all.
        var given: [String: Logger.Level] = [:]

        func level(of names: String...) -> Logger.Level {
            var best: (length: Int, level: Logger.Level) = (-1, self.configured)
            for (prefix, level) in self.given where prefix.utf8.count > best.length {
                if names.contains(where: { $0.hasPrefix(prefix) }) { best = (prefix.utf8.count, level) }
            }
            return best.level
        }

        var least: Logger.Level {
            let common = self.given[""] ?? self.configured
            return self.given.values.reduce(common) { min($0, $1) }
        }

        var hasPrefixes: Bool { self.given.contains { !$0.key.isEmpty } }
    }

    private let state: Mutex<State>
    /// The least level that any line may have, and in the bit above whether lines are looked at one by one.
    private let threshold: Atomic<Int>

    private static let looksCloser = 1 << 8

    init(_ level: Logger.Level) {
        self.state = Mutex(State(configured: level))
        self.threshold = Atomic(Self.index(of: level))
    }

    /// The least level of which a line may be written.
    var least: Logger.Level {
        Logger.Level.allCases[self.threshold.load(ordering: .relaxed) & (Self.looksCloser - 1)]
    }

    /// Whether a line is to be written that is not below ``least``.
    func isWritten(_ level: Logger.Level, label: String, source: @autoclosure () -> String) -> Bool {
        guard self.threshold.load(ordering: .relaxed) & Self.looksCloser != 0 else { return true }
        let source = source()
        return self.state.withLock { $0.level(of: label, source) } <= level
    }

    /// The level of a label or a module.
    func level(of name: String) -> Logger.Level { self.state.withLock { $0.level(of: name) } }

    /// The levels in force by prefix, those whose prefix begins with `prefix`; the one for all has an empty prefix.
    func levels(under prefix: String = "") -> [String: Logger.Level] {
        self.state.withLock { state in
            var levels = state.given
            levels[""] = levels[""] ?? state.configured
            levels = levels.filter { $0.key.hasPrefix(prefix) }
            // What has no level of its own has the one of a shorter prefix.
            return levels.isEmpty ? [prefix: state.level(of: prefix)] : levels
        }
    }

    /// Takes over what the configuration says.
    ///
    /// Where that is new it goes before what was set for all; levels of prefixes stay.
    ///
    /// - Returns: Whether it replaces a level that was set for all.
    @discardableResult
    func configure(_ level: Logger.Level) -> Bool {
        self.change { state in
            guard level != state.configured else { return false }
            state.configured = level
            return state.given.removeValue(forKey: "") != nil
        }
    }

    /// Sets the level of a prefix, or takes it back.
    ///
    /// - Returns: `false` where there are too many prefixes.
    func set(_ level: Logger.Level?, prefix: String) -> Bool {
        self.change { state in
            guard level == nil || state.given[prefix] != nil || state.given.count < Self.mostPrefixes else {
                return false
            }
            state.given[prefix] = level
            return true
        }
    }

    private func change(_ body: (inout State) -> Bool) -> Bool {
        self.state.withLock { state in
            let result = body(&state)
            let threshold = Self.index(of: state.least) | (state.hasPrefixes ? Self.looksCloser : 0)
            self.threshold.store(threshold, ordering: .relaxed)
            return result
        }
    }

    private static func index(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}

/// Writes what its handler writes, at the program's levels unless its logger was given one of its own.
struct LeveledLogHandler: LogHandler {
    private var handler: any LogHandler
    private let label: String
    private let levels: LogLevels
    private var own: Logger.Level?

    init(_ handler: any LogHandler, label: String, levels: LogLevels) {
        self.handler = handler
        self.handler.logLevel = .trace
        self.label = label
        self.levels = levels
    }

    var logLevel: Logger.Level {
        get { self.own ?? self.levels.least }
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

    func log(event: LogEvent) {
        guard self.own != nil || self.levels.isWritten(event.level, label: self.label, source: event.source) else {
            return
        }
        self.handler.log(event: event)
    }
}
