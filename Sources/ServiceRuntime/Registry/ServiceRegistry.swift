/// A table of all services: who they are, that they live, and what operators have decided about them.
///
/// `ServiceDatabase` has one in SQLite and one in PostgreSQL. A service writes with ``heartbeat(_:)`` as long as it is well;
/// a reader judges by its own clock whether the count still changes (``ServiceLivenessTable``), so that no clock of another
/// machine plays a part.
///
/// A registry is opened with its first use. That the database is away is ``ServiceRegistryError/Code/unavailable`` and
/// passes; the next use tries again.
public protocol ServiceRegistry: Sendable {
    /// Records a service that has started; what operators decided about it stays.
    ///
    /// - Parameter registration: What the service is; it takes the place of what an earlier start wrote.
    /// - Returns: The row as it is now.
    /// - Throws: ``ServiceRegistryError``; `newerSchema`.
    func register(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord

    /// Counts one more report of a service, and records it where somebody has removed it.
    ///
    /// - Parameter registration: What the service is; only of use where it is not recorded.
    /// - Returns: The row as it is now; its incarnation is another one where a second process has the same address.
    /// - Throws: ``ServiceRegistryError``.
    func heartbeat(_ registration: ServiceRegistration) async throws(ServiceRegistryError) -> ServiceRecord

    /// Reads all services, ordered by topic and host.
    ///
    /// - Throws: ``ServiceRegistryError``.
    func services() async throws(ServiceRegistryError) -> [ServiceRecord]

    /// Changes what operators have decided about a service.
    ///
    /// - Parameters:
    ///   - key: The service.
    ///   - change: What changes.
    /// - Returns: The row as it is now.
    /// - Throws: ``ServiceRegistryError``; `noSuchService`.
    func change(
        _ key: ServiceKey,
        _ change: ServiceStandingChange
    ) async throws(ServiceRegistryError) -> ServiceRecord

    /// Forgets a service; one that lives is recorded again with its next report.
    ///
    /// - Parameter key: The service.
    /// - Returns: Whether it was recorded.
    /// - Throws: ``ServiceRegistryError``.
    @discardableResult
    func remove(_ key: ServiceKey) async throws(ServiceRegistryError) -> Bool
}
