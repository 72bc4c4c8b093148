internal import Glibc
internal import Logging

extension RPCServer {
    /// Which of a server's two sides: the one that does the work, or the one that tells of it.
    enum Side {
        case work, control

        /// Over which connection it replies.
        var lane: Lane { self == .control ? .control : .work }

        /// At which level it tells of its beginning and end: there are two of them at each server.
        var logLevel: Logger.Level { self == .control ? .debug : .info }
    }

    /// Answers questions about this server for the time of `body`, its end included: also while it drains.
    ///
    /// - Parameter body: The work; gets what comes when questions can be asked, or need not be waited for.
    /// - Throws: What `body` throws.
    func answeringControl(_ body: (Eventual<Void>) async throws -> Void) async throws {
        // What tells of the work must not wait until the work leaves it a thread. A test that moves time itself has to
        // know of all that runs, and has it where it runs everything.
        let thread = ThreadExecutor.control
        let executor = self.clock is ContinuousClock ? thread : preferredTaskExecutor
        try await thread.use {
            let control = self.makeControlServer()
            let isAnswering = Eventual<Void>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask(executorPreference: executor) {
                    do {
                        try await control.run { isAnswering.fulfil() }
                    } catch {
                        // The broker may not allow it. Work goes before questions about it.
                        self.logger.info("questions are not answered", metadata: ["error": "\(error)"])
                    }
                    isAnswering.fulfil()
                }
                group.addTask {
                    // A stop does not wait for a broker that is away.
                    await self.intake.stopped.wait()
                    isAnswering.fulfil()
                }
                do {
                    try await body(isAnswering)
                } catch {
                    control.stop()
                    self.intake.stop()
                    try await group.waitForAll()
                    throw error
                }
                control.stop()
                self.intake.stop()
                try await group.waitForAll()
            }
        }
    }

    private func makeControlServer() -> RPCServer {
        var configuration = Configuration()
        // Questions are short, and anybody can ask.
        configuration.limits.bodySize = 64 << 10
        // Its handlers wait for nothing.
        configuration.concurrency = 4
        configuration.prefetch = 16
        configuration.gracePeriod = .seconds(3)
        configuration.duplicatesWindow = 256
        // Who asks waits for seconds, and asks again.
        configuration.replyRetryLimit = .seconds(5)
        return RPCServer(
            self.transport,
            target: self.target,
            side: .control,
            endpoints: [self.controlEndpoint],
            configuration: configuration,
            logger: self.logger
        )
    }

    /// What is answered about this server.
    private var controlEndpoint: RPCEndpoint {
        RPCEndpoint(version: ControlRPC.version, access: self.configuration.controlAccess) {
            ControlRPC.ping.handled { _ in self.presence }
            ControlRPC.info.handled { _ in self.info }
            ControlRPC.stats.handled { _ in self.currentStatistics }
            ControlRPC.cancel.handled { _, call in
                guard call.id.utf8.count <= RPCLimits.idLength else { throw CancellationRefused() }
                return self.cancelCall(call.id)
            }
        }
    }

    private var state: ControlRPC.State {
        if self.intake.stopped.isResolved { return .draining }
        return self.life.isListening ? .accepting : .starting
    }

    private var uptime: Double { self.life.uptime(at: self.clock.now).wireSeconds }

    private var presence: ControlRPC.Presence {
        ControlRPC.Presence(
            topic: self.target.topic,
            host: self.target.server ?? "",
            incarnation: self.life.incarnation,
            uptime: self.uptime,
            state: self.state,
            keepsName: self.life.keepsName,
            versions: Set(self.dispatcher.endpoints.map(\.version)).sorted(),
            serviceVersion: self.configuration.serviceVersion,
            running: self.intake.running,
            concurrency: self.configuration.concurrency,
            waiting: self.intake.waiting
        )
    }

    private var info: ControlRPC.Info {
        ControlRPC.Info(
            topic: self.target.topic,
            host: self.target.server ?? "",
            exchange: self.target.exchange,
            incarnation: self.life.incarnation,
            uptime: self.uptime,
            state: self.state,
            libraryVersion: LibraryVersion.current,
            serviceVersion: self.configuration.serviceVersion,
            managedHost: self.configuration.managedHost,
            processID: Int(getpid()),
            endpoints: self.contracts,
            limits: ControlRPC.Limits(
                concurrency: self.configuration.concurrency,
                prefetch: self.configuration.prefetch,
                gracePeriod: self.configuration.gracePeriod.wireSeconds,
                duplicatesWindow: self.configuration.duplicatesWindow,
                bodySize: self.configuration.limits.bodySize,
                nesting: self.configuration.limits.nesting,
                arguments: self.configuration.limits.arguments
            )
        )
    }

    private var currentStatistics: ControlRPC.Statistics {
        ControlRPC.Statistics(
            topic: self.target.topic,
            host: self.target.server ?? "",
            incarnation: self.life.incarnation,
            uptime: self.uptime,
            running: self.intake.running,
            concurrency: self.configuration.concurrency,
            waiting: self.intake.waiting,
            methods: self.statistics.methodStatistics(),
            refusals: self.statistics.otherRefusals(),
            expired: self.statistics.otherExpired()
        )
    }
}

/// The id of a call to cancel is longer than that of any call that is run; it is not remembered.
private struct CancellationRefused: Error, RemoteFailureConvertible {
    var remoteFailure: RemoteFailure {
        RemoteFailure(
            className: "LimitExceeded",
            module: RemoteFailure.refusalModule,
            message: "the id has more than \(RPCLimits.idLength) bytes, the server's limit"
        )
    }
}
