/// An error that a service reports and that its clients get back as what it was: the other half of
/// ``RemoteFailureConvertible``.
///
/// A client makes only errors of the types that its contract names (``RPCContract/errors``,
/// ``RPCClient/Options/errors``): what a peer sends never chooses a type by itself. It is what
/// `allowed_remote_exmods` is to oslo.messaging (wire contract 3.4). Failures that none of them takes stay an
/// ``RPCError``.
public protocol RemoteFailureInitializable: Error {
    /// Reads the error back; `nil` where the failure is none of this type.
    ///
    /// - Parameter failure: What the service reported.
    init?(_ failure: RemoteFailure)
}
