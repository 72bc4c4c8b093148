/// The error of another service, as it travels in a reply (wire contract 3.4).
public struct RemoteFailure: Sendable, Hashable {
    /// The name of the error's class, without its module.
    public var className: String
    /// The module that the class belongs to, such as `cinder.exception`.
    public var module: String
    /// What went wrong.
    public var message: String
    /// The positional arguments that the error was made with.
    public var args: [JSONValue]
    /// The keyword arguments that the error was made with.
    public var kwargs: [String: JSONValue]
    /// The traceback at the server in chunks, each with its line breaks.
    public var traceback: [String]

    /// Creates a failure.
    ///
    /// - Parameters:
    ///   - className: The name of the class.
    ///   - module: The module of the class.
    ///   - message: What went wrong.
    ///   - args: The positional arguments; the message alone by default, as Python's errors have it.
    ///   - kwargs: The keyword arguments.
    ///   - traceback: The traceback in chunks.
    public init(
        className: String,
        module: String,
        message: String,
        args: [JSONValue]? = nil,
        kwargs: [String: JSONValue] = [:],
        traceback: [String] = []
    ) {
        self.className = className
        self.module = module
        self.message = message
        self.args = args ?? [.string(message)]
        self.kwargs = kwargs
        self.traceback = traceback
    }
}

extension RemoteFailure: CustomStringConvertible {
    /// Class, module and message in one line, without the traceback.
    public var description: String {
        let name = self.module.isEmpty ? self.className : "\(self.module).\(self.className)"
        return name.isEmpty ? self.message : "\(name): \(self.message)"
    }
}

// MARK: - Text

extension RemoteFailure {
    private static let remoteSuffix = "_Remote"

    /// Writes the object in oslo.messaging's order of keys.
    ///
    /// A Python client renames the classes it raises; a failure that is passed on goes under its first name.
    func write(to writer: inout JSONWriter) {
        let isRenamed = self.className.hasSuffix(Self.remoteSuffix) && self.module.hasSuffix(Self.remoteSuffix)
        let suffix = isRenamed ? Self.remoteSuffix.count : 0
        writer.write(byte: JSONByte.openBrace)
        writer.write(name: "class")
        writer.write(String(self.className.dropLast(suffix)))
        writer.writeNext(name: "module")
        writer.write(String(self.module.dropLast(suffix)))
        writer.writeNext(name: "message")
        writer.write(self.message)
        writer.writeNext(name: "tb")
        writer.write(.array(self.traceback.map { .string($0) }))
        writer.writeNext(name: "args")
        writer.write(.array(self.args))
        writer.writeNext(name: "kwargs")
        writer.write(.object(self.kwargs))
        writer.write(byte: JSONByte.closeBrace)
    }

    /// Reads what a reply holds as its failure: JSON text, as it should be, or the object itself.
    ///
    /// Whatever it is, the call has failed, so that everything is accepted: a text that is no object is the message.
    package init(decoding raw: RawJSON) {
        let value: JSONValue
        do {
            if let text = raw.stringValue {
                value = try JSONValue(parsing: text)
            } else {
                value = try raw.value()
            }
        } catch {
            self.init(className: "", module: "", message: raw.stringValue ?? raw.text)
            return
        }
        guard case .object(let members) = value else {
            self.init(className: "", module: "", message: Self.text(value))
            return
        }
        self.init(
            className: members["class"].map(Self.text) ?? "",
            module: members["module"].map(Self.text) ?? "",
            message: members["message"].map(Self.text) ?? "",
            args: members["args"]?.arrayValue ?? [],
            kwargs: members["kwargs"]?.objectValue ?? [:],
            traceback: Self.lines(members["tb"])
        )
    }

    /// The text of any value: strings as they are, `null` as nothing, others as JSON.
    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        default: value.description
        }
    }

    private static func lines(_ value: JSONValue?) -> [String] {
        switch value {
        case .none, .null: []
        case .array(let lines): lines.map(Self.text)
        case .some(let other): [Self.text(other)]
        }
    }
}
