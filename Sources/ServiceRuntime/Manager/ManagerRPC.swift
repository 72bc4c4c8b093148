public import Messaging

/// The methods that every manager has, beside its own.
///
/// They are in the null namespace, and answer at version 1.0 as well as at the version of the manager's own endpoint, so
/// that a caller need not know which service it asks.
public enum ManagerRPC {
    /// The version of the software.
    public static let serviceVersion = RPCMethod<Void, String>("service_version", since: "1.0")
    /// All declared options with their values; secrets are masked.
    public static let serviceConfig = RPCMethod<Void, JSONValue>("service_config", since: "1.0")
    /// Asks a scheduler-dependent manager to report what it can do, now; a starting scheduler fans it out to all hosts
    /// (wire contract 7.2).
    public static let publishServiceCapabilities = RPCMethod<Void, Void>("publish_service_capabilities", since: "3.0")
}

/// Puts the methods of ``ManagerRPC`` beside a manager's own.
enum BaseEndpoints {
    /// The endpoints that serve `handlers` in the null namespace, at all of `versions`.
    ///
    /// An endpoint serves one major version (wire contract 4.2), so there is one for each; the manager's own come first
    /// and may have methods of the same names.
    static func make(versions: [RPCVersion], handlers: [RPCHandler]) -> [RPCEndpoint] {
        var latest: [Int: RPCVersion] = [:]
        for version in versions {
            latest[version.major] = max(version, latest[version.major] ?? version)
        }
        return latest.values.sorted().map { version in
            RPCEndpoint(version: version) { handlers }
        }
    }
}
