internal import ArgumentParser
internal import Messaging

/// A request as it will be sent, everything read and checked.
struct Request: Sendable {
    enum Kind: Sendable {
        case call, cast, fanout
    }

    let kind: Kind
    let target: Target
    let method: String
    let namespace: String?
    let arguments: [String: JSONValue]
    let timeout: Duration
    let clientOptions: RPCClient.Options

    /// Reads arguments and context from where the command line says they are.
    ///
    /// - Throws: `ValidationError`, which ends the program with a word on its usage.
    init(_ command: any RequestCommand) throws {
        let options = command.options
        self.kind = command.kind
        self.target = options.target(command.kind)
        self.method = options.method
        self.namespace = options.namespace
        self.timeout = options.timeout.duration
        self.arguments = try Self.object(options.arguments ?? "{}", "the arguments", mayBeStandardInput: true)
        var clientOptions = RPCClient.Options()
        clientOptions.callMonitorTimeout = options.callMonitorTimeout?.duration
        clientOptions.version = options.version
        clientOptions.context = RPCContext(
            try Self.object(options.context ?? "{}", "the context", mayBeStandardInput: false)
        )
        self.clientOptions = clientOptions
    }

    /// Sends the request, and waits for its result if it is a call.
    func send(with means: Session.Means) async throws -> Outcome {
        var options = self.clientOptions
        options.timeout = means.timeout
        let client = RPCClient(means.transport, target: self.target, options: options, logger: means.logger)
        switch self.kind {
        case .call:
            return .result(try await client.call(self.method, self.arguments, namespace: self.namespace))
        case .cast:
            try await client.cast(self.method, self.arguments, namespace: self.namespace)
        case .fanout:
            try await client.fanout(self.method, self.arguments, namespace: self.namespace)
        }
        return .sent
    }

    /// A JSON object given as text, as `@FILE`, or as `-` for standard input.
    private static func object(
        _ argument: String,
        _ what: String,
        mayBeStandardInput: Bool
    ) throws -> [String: JSONValue] {
        let bytes: [UInt8]
        let source: String
        do {
            if argument == "-", mayBeStandardInput {
                source = "standard input"
                bytes = try readToEnd(.standardInput)
            } else if argument.utf8.first == UInt8(ascii: "@") {
                source = String(argument.dropFirst())
                bytes = try readToEnd(.file(source))
            } else {
                source = what
                bytes = Array(argument.utf8)
            }
        } catch {
            throw ValidationError("Cannot read \(what): \(error).")
        }
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw ValidationError("\(source.capitalizingFirst) must be a JSON object: \(error).")
        }
        guard let object = value.objectValue else {
            throw ValidationError("\(source.capitalizingFirst) must be a JSON object, not \(value.kindDescription).")
        }
        return object
    }
}

extension String {
    fileprivate var capitalizingFirst: String { self.prefix(1).uppercased() + self.dropFirst() }
}
