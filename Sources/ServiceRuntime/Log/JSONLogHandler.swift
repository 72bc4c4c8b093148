internal import Logging
internal import Messaging

/// Writes each message as a JSON object on a line of its own, for programs that gather logs.
struct JSONLogHandler: LogHandler {
    private let label: String
    private let output: LogOutput
    private let now: @Sendable () -> UTCTime
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()
    var metadataProvider: Logger.MetadataProvider?

    init(
        label: String,
        output: LogOutput,
        metadataProvider: Logger.MetadataProvider?,
        now: @escaping @Sendable () -> UTCTime = { .now }
    ) {
        self.label = label
        self.output = output
        self.metadataProvider = metadataProvider
        self.now = now
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var metadata = self.metadata
        if let provided = self.metadataProvider?.get() { metadata.merge(provided) { $1 } }
        if let explicit = event.metadata { metadata.merge(explicit) { $1 } }
        var writer = JSONWriter(asciiOnly: false)
        writer.write(plain: "{")
        Self.write(member: "time", self.now().description, isFirst: true, to: &writer)
        Self.write(member: "level", event.level.rawValue, to: &writer)
        Self.write(member: "label", self.label, to: &writer)
        Self.write(member: "message", event.message.description, to: &writer)
        if !metadata.isEmpty {
            writer.write(plain: ",")
            writer.write(key: "metadata")
            Self.write(.dictionary(metadata), to: &writer)
        }
        Self.write(member: "source", event.source, to: &writer)
        if let error = event.error {
            writer.write(plain: ",")
            writer.write(key: "error")
            writer.write(plain: "{")
            Self.write(member: "type", String(reflecting: type(of: error)), isFirst: true, to: &writer)
            Self.write(member: "message", String(describing: error), to: &writer)
            writer.write(plain: "}")
        }
        writer.write(plain: "}\n")
        self.output.add(writer.finish())
    }

    private static func write(
        member name: String,
        _ value: String,
        isFirst: Bool = false,
        to writer: inout JSONWriter
    ) {
        if !isFirst { writer.write(plain: ",") }
        writer.write(key: name)
        writer.write(value)
    }

    /// Writes metadata as it is nested; what is neither an object nor an array is text.
    private static func write(_ value: Logger.Metadata.Value, to writer: inout JSONWriter) {
        switch value {
        case .string(let text): writer.write(text)
        case .stringConvertible(let value): writer.write(value.description)
        case .array(let values):
            writer.write(plain: "[")
            for (index, value) in values.enumerated() {
                if index > 0 { writer.write(plain: ",") }
                self.write(value, to: &writer)
            }
            writer.write(plain: "]")
        case .dictionary(let members):
            writer.write(plain: "{")
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { writer.write(plain: ",") }
                writer.write(key: member.key)
                self.write(member.value, to: &writer)
            }
            writer.write(plain: "}")
        }
    }
}
