/// What a server does where another process serves the same topic under the same host name.
///
/// The broker hands each request for the host to one of the two. Replies are not concerned: each process has a reply
/// queue of its own.
public struct NamesakePolicy: Sendable, Hashable {
    private enum Kind { case share, refuse }
    private let kind: Kind

    /// Takes its share of the work, and says so in a warning.
    public static let share = NamesakePolicy(kind: .share)
    /// Does not start; ``RPCServer/run(onReady:)`` throws `RPCError`, code `nameTaken`.
    public static let refuse = NamesakePolicy(kind: .refuse)
}
