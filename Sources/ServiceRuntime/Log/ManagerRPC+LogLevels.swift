internal import Logging
public import Messaging

extension ManagerRPC {
    /// The levels in force, as cinder's method of this name: those that the request's prefix begins.
    public static let getLogLevels = RPCMethod<LogLevelRequest, LogLevelList>("get_log_levels", since: "1.0")
    /// Sets the level of a prefix, or of all with an empty one, as cinder's method of this name.
    ///
    /// It holds for the whole program until it ends. Fails with cinder's `InvalidInput` where the level is none.
    public static let setLogLevels = RPCMethod<LogLevelRequest, Void>("set_log_levels", since: "1.0")
}

/// Which log level is meant, and of what: cinder's `LogLevel`.
///
/// It travels as argument `log_request`, a versioned object of cinder's; the plain arguments `prefix` and `level` are
/// understood as well.
public struct LogLevelRequest: Codable, Sendable, Hashable {
    /// Which loggers: those whose label, or whose module, begins so; `nil` or empty for all.
    public var prefix: String?
    /// The level's name, in any case; `default` takes back what was set, and `nil` asks.
    public var level: String?

    /// Creates a request; for all loggers and no level by default.
    public init(prefix: String? = nil, level: String? = nil) {
        self.prefix = prefix
        self.level = level
    }

    private enum CodingKeys: String, CodingKey {
        case prefix, level
        case request = "log_request"
    }

    /// Reads a versioned object, or the plain arguments.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let object = try container.decodeIfPresent(JSONValue.self, forKey: .request), object != .null {
            self.init(versioned: object)
        } else {
            self.init(
                prefix: try container.decodeIfPresent(String.self, forKey: .prefix),
                level: try container.decodeIfPresent(String.self, forKey: .level)
            )
        }
    }

    /// Writes a versioned object, which cinder's managers understand, too.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.versioned, forKey: .request)
    }

    init(versioned object: JSONValue) {
        let data = object["versioned_object.data"] ?? object
        self.init(prefix: data["prefix"]?.stringValue, level: data["level"]?.stringValue)
    }

    var versioned: JSONValue {
        .versionedObject(
            "LogLevel",
            ["prefix": self.prefix.map { .string($0) } ?? .null, "level": self.level.map { .string($0) } ?? .null]
        )
    }
}

/// The levels that a program answers: cinder's `LogLevelList`.
public struct LogLevelList: Codable, Sendable, Hashable {
    /// The prefixes with their levels, the names in capitals; an empty prefix is for all that have none.
    public var levels: [LogLevelRequest]

    /// Creates a list.
    public init(_ levels: [LogLevelRequest]) { self.levels = levels }

    /// Reads a versioned object.
    public init(from decoder: any Decoder) throws {
        let objects = try JSONValue(from: decoder)["versioned_object.data"]?["objects"]?.arrayValue ?? []
        self.levels = objects.map { LogLevelRequest(versioned: $0) }
    }

    /// Writes a versioned object.
    public func encode(to encoder: any Encoder) throws {
        let objects = JSONValue.array(self.levels.map(\.versioned))
        try JSONValue.versionedObject("LogLevelList", ["objects": objects]).encode(to: encoder)
    }
}

extension JSONValue {
    /// An object as oslo.versionedobjects writes it.
    fileprivate static func versionedObject(_ name: String, _ data: [String: JSONValue]) -> JSONValue {
        [
            "versioned_object.name": .string(name),
            "versioned_object.namespace": "cinder",
            "versioned_object.version": "1.0",
            "versioned_object.data": .object(data),
            "versioned_object.changes": .array(data.keys.sorted().map { .string($0) }),
        ]
    }
}

/// A level or a prefix that cannot be.
struct InvalidLogLevel: Error, RemoteFailureConvertible {
    let message: String

    var remoteFailure: RemoteFailure {
        RemoteFailure(
            className: "InvalidInput",
            module: "cinder.exception",
            message: "Invalid input received: \(self.message)"
        )
    }
}

extension LogLevels {
    /// What takes a level back.
    private static let defaultName = "default"

    /// The methods by which levels are asked for and set.
    func handlers(_ logger: Logger) -> [RPCHandler] {
        [
            ManagerRPC.getLogLevels.handled { _, request in
                let levels = self.levels(under: try Self.prefix(of: request)).sorted { $0.key < $1.key }
                return LogLevelList(levels.map { LogLevelRequest(prefix: $0, level: $1.rawValue.uppercased()) })
            },
            ManagerRPC.setLogLevels.handled { _, request in
                let prefix = try Self.prefix(of: request)
                let level = try Self.level(of: request)
                guard self.set(level, prefix: prefix) else {
                    throw InvalidLogLevel(message: "\(Self.mostPrefixes) prefixes have a level already.")
                }
                logger.notice(
                    "log level is set",
                    metadata: ["prefix": "\(prefix)", "level": "\(level?.rawValue ?? Self.defaultName)"]
                )
            },
        ]
    }

    private static func prefix(of request: LogLevelRequest) throws(InvalidLogLevel) -> String {
        let prefix = request.prefix ?? ""
        guard prefix.utf8.count <= Self.longestPrefix else {
            throw InvalidLogLevel(message: "the prefix has more than \(Self.longestPrefix) bytes.")
        }
        return prefix
    }

    private static func level(of request: LogLevelRequest) throws(InvalidLogLevel) -> Logger.Level? {
        let text = (request.level ?? "").prefix(64).lowercased()
        if text == Self.defaultName { return nil }
        guard let level = Logger.Level(rawValue: text) else {
            throw InvalidLogLevel(message: "\(request.level?.prefix(64) ?? "") is not a valid log level.")
        }
        return level
    }
}
