internal import Messaging
internal import ServiceRuntime

/// How a request ended: what is printed, and the program's exit code.
enum Outcome: Sendable {
    case result(JSONValue)
    /// What a command has found out: for people as text that the command has laid out, for scripts as a result.
    case report(JSONValue, text: String, exitCode: Int32 = ExitStatus.done)
    case sent
    case failed(Failure)

    struct Failure: Sendable {
        /// The kinds of failure that scripts tell apart.
        enum Kind: String, Sendable {
            case remote, timeout, undeliverable, other

            var exitCode: Int32 {
                switch self {
                case .remote: ExitStatus.remoteFailure
                case .timeout: ExitStatus.timeout
                case .undeliverable: ExitStatus.undeliverable
                case .other: ExitStatus.other
                }
            }
        }

        var kind: Kind
        var message: String
        var remote: RemoteFailure?
        /// The exit code where it is not the kind's own.
        var exitCode: Int32?
    }

    /// The exit code.
    var exitCode: Int32 {
        switch self {
        case .result, .sent: ExitStatus.done
        case .report(_, _, let exitCode): exitCode
        case .failed(let failure):
            failure.exitCode ?? failure.kind.exitCode
        }
    }

    /// The outcome of a request that ended with an error.
    init(_ error: any Error) {
        if let error = error as? ServiceRegistryError {
            let kind: Failure.Kind = error.code == .noSuchService ? .undeliverable : .other
            self = .failed(Failure(kind: kind, message: error.description))
            return
        }
        guard let error = error as? RPCError else {
            self = .failed(Failure(kind: .other, message: String(describing: error)))
            return
        }
        let kind: Failure.Kind =
            switch error.code {
            // Whatever a server answered, be it a refusal with a code of its own.
            case _ where error.failure != nil: .remote
            case .timeout: .timeout
            case .noSuchServer: .undeliverable
            default: .other
            }
        self = .failed(Failure(kind: kind, message: error.failure?.message ?? error.message, remote: error.failure))
    }

    /// The outcome of a program that a signal ended.
    static func interrupted(by signal: Int32) -> Outcome {
        .failed(Failure(kind: .other, message: "ended by a signal", exitCode: ExitStatus.signal(signal)))
    }

    // MARK: Text

    /// One line for scripts.
    var json: String {
        switch self {
        case .result(let value), .report(let value, _, _): #"{"result": \#(value)}"#
        case .sent: #"{"sent": true}"#
        case .failed(let failure):
            #"{"error": {"kind": "\#(failure.kind)", "class": \#(JSONValue(failure.remote?.className)), "#
                + #""module": \#(JSONValue(failure.remote?.module)), "message": \#(JSONValue(failure.message))}}"#
        }
    }

    /// What people read: a result on standard output, a failure on standard error; nothing in it is a command to their
    /// terminals.
    var text: String { self.rawText.printableLines }

    private var rawText: String {
        switch self {
        case .result(.string(let text)): text
        case .result(let value): value.indented
        case .report(_, let text, _): text
        case .sent: "sent"
        case .failed(let failure):
            if let remote = failure.remote {
                "\(remote.className)\(remote.module.isEmpty ? "" : " (\(remote.module))"): \(remote.message)"
            } else {
                "\(failure.kind): \(failure.message)"
            }
        }
    }

    /// The traceback that the server sent, if it did.
    var traceback: String? {
        guard case .failed(let failure) = self, let remote = failure.remote, !remote.traceback.isEmpty else {
            return nil
        }
        return remote.traceback.joined().printableLines
    }
}

/// The exit codes, part of what scripts rely on.
enum ExitStatus {
    static let done: Int32 = 0
    static let remoteFailure: Int32 = 1
    static let usage: Int32 = 2
    static let timeout: Int32 = 3
    static let undeliverable: Int32 = 4
    static let other: Int32 = 5

    /// As shells report a program that a signal has ended.
    static func signal(_ number: Int32) -> Int32 { 128 + number }
}

extension JSONValue {
    fileprivate init(_ text: String?) {
        self = text.map { .string($0) } ?? .null
    }

    /// The value over several lines, the members of objects in the order of their names.
    var indented: String {
        var text = ""
        self.write(to: &text, margin: "\n")
        return text
    }

    /// Values that a peer sent are at most as deep as the JSON reader allows, so that this may recurse.
    private func write(to text: inout String, margin: String) {
        let inner = margin + "  "
        switch self {
        case .array(let elements) where !elements.isEmpty:
            var separator = "["
            for element in elements {
                text += separator + inner
                element.write(to: &text, margin: inner)
                separator = ","
            }
            text += margin + "]"
        case .object(let members) where !members.isEmpty:
            var separator = "{"
            for (name, member) in members.sorted(by: { $0.key < $1.key }) {
                text += "\(separator)\(inner)\(JSONValue.string(name)): "
                member.write(to: &text, margin: inner)
                separator = ","
            }
            text += margin + "}"
        default:
            text += self.description
        }
    }
}
