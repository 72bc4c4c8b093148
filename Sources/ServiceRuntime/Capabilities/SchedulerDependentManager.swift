public import Messaging

/// A manager that tells the schedulers what its host can do, so that they know whom to give work.
///
/// ```swift
/// actor VolumeManager: SchedulerDependentManager {
///     nonisolated let serviceName = "volume"
///     nonisolated let serviceCapabilities = ServiceCapabilities()
///
///     func reportDriverStatus() async throws {
///         try updateServiceCapabilities(encoding: await driver.status())
///     }
/// }
/// ```
///
/// The manager says what it can do with ``updateServiceCapabilities(_:)`` whenever it knows something new. Its
/// ``ManagerService`` publishes the latest value to all schedulers by a fanout cast: at once when it has changed, again
/// every `report_interval`, and when a starting scheduler asks (`publish_service_capabilities`). Nothing is published before
/// the first value.
public protocol SchedulerDependentManager: Manager {
    /// The kind of service, as the schedulers know it, such as `volume`.
    var serviceName: String { get }

    /// Holds what the host can do; a stored property of the manager.
    var serviceCapabilities: ServiceCapabilities { get }
}

extension SchedulerDependentManager {
    /// Remembers what the host can do; the service publishes it.
    ///
    /// - Parameter capabilities: A JSON object; `nil` to publish nothing any more.
    public func updateServiceCapabilities(_ capabilities: JSONValue?) {
        self.serviceCapabilities.update(capabilities == .some(.null) ? nil : capabilities)
    }

    /// Remembers what the host can do; the service publishes it.
    ///
    /// - Parameter capabilities: A value that is written as a JSON object.
    /// - Throws: `JSONError`, where it cannot be written as JSON.
    public func updateServiceCapabilities(encoding capabilities: some Encodable) throws {
        self.updateServiceCapabilities(try JSONValue(encoding: capabilities))
    }

    /// Sends the latest value to all schedulers now; nothing if there is none.
    ///
    /// - Parameters:
    ///   - scheduler: The schedulers' client.
    ///   - context: The request context; the system's own by default.
    /// - Throws: `RPCError`, where the broker does not take it.
    public func publishServiceCapabilities(
        to scheduler: SchedulerAPI,
        context: RPCContext = .admin()
    ) async throws {
        try await self.serviceCapabilities.publish { value in
            let stamp = self.serviceCapabilities.nextStamp()
            let report = SchedulerAPI.CapabilityReport(
                serviceName: self.serviceName,
                host: self.host,
                capabilities: stamp.order.written(into: value),
                timestamp: stamp.timestamp
            )
            try await scheduler.updateServiceCapabilities(report, context: context)
        }
    }
}
