/// An error that callers shall be able to tell from others: it says under which class and module it travels.
///
/// ```swift
/// struct VolumeNotFound: Error, RemoteFailureConvertible {
///     let id: String
///     var remoteFailure: RemoteFailure {
///         RemoteFailure(className: "VolumeNotFound", module: "cinder.exception",
///                       message: "Volume \(id) could not be found.", kwargs: ["volume_id": .string(id)])
///     }
/// }
/// ```
///
/// An error that does not conform travels under its Swift type's name and module.
public protocol RemoteFailureConvertible: Error {
    /// What is sent to the caller.
    var remoteFailure: RemoteFailure { get }
    /// Whether the error is part of the method's ordinary business, and no reason for the server to raise its voice.
    var isExpected: Bool { get }
}

extension RemoteFailureConvertible {
    /// An error that has a name on the wire is expected, unless it says otherwise.
    public var isExpected: Bool { true }
}

extension RemoteFailure {
    /// The failure that stands for any error.
    package init(describing error: any Error) {
        if let error = error as? any RemoteFailureConvertible {
            self = error.remoteFailure
        } else if let failure = (error as? RPCError)?.failure {
            // A failure of a further service passes through: the caller learns what happened at the end of the chain.
            self = failure
        } else {
            let type = String(reflecting: Swift.type(of: error))
            let parts = type.split(separator: ".", maxSplits: 1)
            self.init(
                className: parts.last.map(String.init) ?? type,
                module: parts.count == 2 ? String(parts[0]) : "swift",
                message: String(describing: error)
            )
        }
    }
}
