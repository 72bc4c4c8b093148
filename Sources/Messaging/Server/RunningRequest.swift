public import Logging

/// The request that the running task serves, for what a handler does without saying so: the calls that it makes end no
/// later than the request, and its log lines name it.
///
/// It goes with the task and its children, so that a handler need not pass it on.
///
/// A class, so that who looks whether there is one reads a pointer.
final class RunningRequest: Sendable {
    @TaskLocal static var current: RunningRequest?

    /// When the caller gives up.
    let deadline: ContinuousClock.Instant?
    let job: RPCServer.Job
    let server: RPCServer

    init(deadline: ContinuousClock.Instant?, job: RPCServer.Job, server: RPCServer) {
        self.deadline = deadline
        self.job = job
        self.server = server
    }

    /// The longest text of a peer that is put into a log line, in bytes.
    private static let textLength = 255

    /// What a log line says of the request; made only for a line that is written.
    var metadata: Logger.Metadata {
        let request = self.job.request
        let context: RPCContext
        do {
            context = RPCContext(try request.contextValues())
        } catch {
            // The text was checked when the request was read.
            context = RPCContext()
        }
        var metadata: Logger.Metadata = ["method": "\(request.method)", "host": "\(self.server.target.server ?? "")"]
        metadata["namespace"] = request.namespace.map { "\($0)" }
        metadata["request_id"] = (context.requestID ?? request.uniqueID).map { "\($0.prefix(bytes: Self.textLength))" }
        metadata["trace_id"] = (self.job.delivery.traceParent ?? TraceParent(context)).map { "\($0.traceID)" }
        metadata["caller"] = self.caller(context).map { "\($0)" }
        return metadata
    }

    /// Who asks, as far as the message tells: user and project of the context, else the user at the broker, else the host
    /// in the name of the reply queue, which oslo writes there if it is configured to.
    private func caller(_ context: RPCContext) -> String? {
        func text(_ names: String...) -> String? {
            names.lazy.compactMap { context[$0]?.stringValue }.first { !$0.isEmpty }?.prefix(bytes: Self.textLength)
        }
        let user = text("user_id", "user")
        let project = text("project_id", "project", "tenant")
        if user != nil || project != nil { return "\(user ?? "-")/\(project ?? "-")" }
        if let user = self.server.sender(of: self.job.delivery) { return user }
        guard let queue = self.job.request.replyQueue, queue.contains(":") else { return nil }
        return queue.split(separator: ":")[0].dropPrefix("reply_").prefix(bytes: Self.textLength)
    }
}

extension Substring {
    fileprivate func dropPrefix(_ prefix: String) -> String {
        String(self.hasPrefix(prefix) ? self.dropFirst(prefix.count) : self)
    }
}

extension Logger.MetadataProvider {
    /// Adds to each log line of a handler which request it serves: `request_id`, `method`, `namespace`, `host`, `caller`,
    /// and `trace_id` where it belongs to a trace.
    ///
    /// A program that sets up logging itself gives it to its log handlers; `ServiceLauncher` does so.
    ///
    /// ```swift
    /// LoggingSystem.bootstrap(
    ///     { label, provider in StreamLogHandler.standardError(label: label, metadataProvider: provider) },
    ///     metadataProvider: .servedRequest
    /// )
    /// ```
    ///
    /// `request_id` is the one of the request's context, else the id of the message; `caller` is `user/project` of the
    /// context, else the user at the broker. All but `method` and `host` is what the caller says. Nothing is added outside
    /// of handlers, and nothing is computed for a line that is not written.
    public static var servedRequest: Logger.MetadataProvider {
        Logger.MetadataProvider { RunningRequest.current?.metadata ?? [:] }
    }
}
