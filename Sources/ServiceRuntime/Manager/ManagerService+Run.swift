internal import Logging
public import Messaging
internal import ServiceLifecycle
internal import Synchronization

extension ManagerService {
    /// Serves until the service is stopped, shut down or cancelled.
    ///
    /// - Throws: `ServiceError`: `startFailed` where the manager did not become ready, `invalidPeriodicTask`; `RPCError`
    ///   where the queues cannot be opened. Nothing is left open then.
    public func run() async throws {
        defer { self.started.fulfil(false) }
        let tasks = try self.tasks.get()
        // A manager whose service has ended has no say in what the others get.
        defer { self.liveConfiguration.remove(self.registration) }
        try await withGracefulShutdownHandler {
            let manager = self.manager
            guard try await self.isDone("initHost", { try await manager.initHost() }) else { return }
            // Before the first request: a frozen host is to refuse that one, too.
            let membership = self.membership
            guard try await self.isDone("registration", { try await membership.enroll() }) else { return }
            try await self.serve(tasks)
        } onGracefulShutdown: {
            self.stop()
        }
        self.logger.info("stopped")
    }

    /// Runs a step of the manager's start; answers whether it was done, and not called off by a stop.
    private func isDone(_ name: String, _ step: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await step()
                return true
            }
            group.addTask {
                await self.stopped.wait()
                return false
            }
            defer { group.cancelAll() }
            do {
                return try await group.next() == true && self.stopped.current == nil
            } catch {
                // An error of a start that was called off is not one of the service.
                guard self.stopped.current == nil else { return false }
                throw ServiceError(
                    .startFailed,
                    "\(self.target): \(name) of \(type(of: self.manager)) failed",
                    cause: error
                )
            }
        }
    }

    private enum Part: Sendable { case server, manager, stop }

    private func serve(_ tasks: PeriodicTaskContext) async throws {
        let servers = ([self.target] + self.additionalTargets).map { target in
            let server = RPCServer(
                self.transport,
                target: target,
                endpoints: self.endpoints,
                configuration: self.serverConfiguration(of: target),
                logger: self.logger
            )
            return (server: server, listening: Eventual<Void>())
        }
        self.servers.withLock { $0 = servers.map(\.server) }
        try await withThrowingTaskGroup(of: Part.self) { group in
            for (server, listening) in servers {
                group.addTask {
                    try await server.run { listening.fulfil() }
                    return .server
                }
            }
            group.addTask {
                for (_, listening) in servers {
                    guard await listening.wait() != nil else { return .manager }
                }
                try await self.manage(tasks)
                return .manager
            }
            group.addTask {
                await self.stopped.wait()
                for (server, _) in servers { server.stop() }
                return .stop
            }
            var failure: (any Error)?
            while let part = await group.nextResult() {
                switch part {
                case .success(.server) where self.stopped.current == nil && !Task.isCancelled:
                    failure = failure ?? ServiceError(.stopped, "\(self.target): the server ended by itself")
                case .success: break
                case .failure(let error): failure = failure ?? error
                }
                // The end of one is the end of all, with the same grace as any: what runs may finish.
                self.stop()
                for (_, listening) in servers { listening.fulfil() }
            }
            if let failure { throw failure }
        }
    }

    /// What the manager does by itself while it is reachable.
    private func manage(_ tasks: PeriodicTaskContext) async throws {
        guard self.stopped.current == nil else { return }
        let manager = self.manager
        guard try await self.isDone("initHostWithRPC", { try await manager.initHostWithRPC() }) else { return }
        self.logger.info(
            "ready",
            metadata: ["topic": "\(self.target.topic)", "host": "\(self.target.server ?? "")"]
        )
        self.started.fulfil(true)
        await withTaskGroup(of: Void.self) { group in
            if let manager = manager as? any SchedulerDependentManager {
                group.addTask { await self.publishChanges(of: manager) }
                group.addTask {
                    // Schedulers may have forgotten the host meanwhile, or be others.
                    for await _ in self.transport.recoveries() { manager.serviceCapabilities.publishAgain() }
                }
            }
            await tasks.table.run(tasks, until: self.stopped, gracePeriod: self.gracePeriod)
            group.cancelAll()
        }
    }

    /// Publishes capabilities as soon as they change; the periodic task repeats what fails here.
    private func publishChanges(of manager: any SchedulerDependentManager) async {
        var tried: UInt64 = 0
        while await manager.serviceCapabilities.waitForChange(after: &tried) {
            do {
                try await manager.publishServiceCapabilities(to: self.scheduler)
            } catch {
                guard !Task.isCancelled else { return }
                self.logger.info("capabilities were not published", metadata: ["error": "\(error)"])
            }
        }
    }

    /// What the service offers: the manager's own endpoints, and the methods that every manager has.
    public var contracts: [ContractDescription] { self.endpoints.map(\.description) }

    private var endpoints: [RPCEndpoint] {
        var versions: [RPCVersion] = [ManagerRPC.serviceVersion.since, self.manager.endpoint.version]
        let configuration = self.liveConfiguration
        let manager = self.manager
        var handlers = [
            ManagerRPC.serviceVersion.handled { _ in manager.serviceVersion },
            ManagerRPC.serviceConfig.handled { _ in configuration.current.report },
        ]
        handlers += self.membership.handlers
        handlers += self.liveConfiguration.logLevels.handlers(self.logger)
        if let manager = manager as? any SchedulerDependentManager {
            let scheduler = self.scheduler
            versions.append(ManagerRPC.publishServiceCapabilities.since)
            handlers.append(
                ManagerRPC.publishServiceCapabilities.handled { context in
                    try await manager.publishServiceCapabilities(to: scheduler)
                }
            )
        }
        return [manager.endpoint] + manager.additionalEndpoints
            + BaseEndpoints.make(versions: versions, handlers: handlers)
    }

    private func serverConfiguration(of target: Target) -> RPCServer.Configuration {
        var configuration = RPCServer.Configuration()
        configuration.concurrency = self.configuration[.executorThreadPoolSize]
        configuration.prefetch = self.configuration[.rpcPrefetch]
        configuration.gracePeriod = self.gracePeriod
        configuration.answersOsloPing = self.configuration[.rpcPingEnabled]
        configuration.journal = self.journal
        configuration.namesakes = self.configuration[.refuseSameHost] ? .refuse : .share
        configuration.serviceVersion = self.manager.serviceVersion
        let selfProbeInterval = self.configuration[.selfProbeInterval]
        configuration.selfProbeInterval = selfProbeInterval > .zero ? selfProbeInterval : nil
        configuration.managedHost = self.manager.host == target.server ? nil : self.manager.host
        return configuration
    }

    private var gracePeriod: Duration {
        let timeout = self.configuration[.gracefulShutdownTimeout]
        // Zero means as long as it takes (wire contract 7.3).
        return timeout == .zero ? .seconds(365 * 24 * 3600) : timeout
    }
}

/// Runs a service for the time of `body`: it is ready when `body` starts, and has stopped gracefully when this returns.
///
/// - Parameters:
///   - service: The service; it must not have run before.
///   - body: What is done while the service runs.
/// - Returns: What `body` returns.
/// - Throws: What `body` throws, or what ``ManagerService/run()`` throws.
public func withManagerService<Value: Sendable>(
    _ service: ManagerService,
    _ body: (ManagerService) async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service.run() }
        do {
            try await service.waitUntilReady()
            let value = try await body(service)
            service.stop()
            try await group.waitForAll()
            return value
        } catch {
            service.stop()
            // Of two errors the service's own is the cause.
            try await group.waitForAll()
            throw error
        }
    }
}
