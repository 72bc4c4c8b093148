internal import PostgreSQL
public import ServiceRuntime

/// Where a registry of services is kept, as a URL says it.
///
/// | URL | |
/// |---|---|
/// | `sqlite:///path` | a file of this machine; the path is absolute, and one more slash, as SQLAlchemy has it, is as good |
/// | `postgresql://user:password@host[:port][,…]/database?sslmode=…` | as libpq reads it |
/// | `postgresql+psycopg2://…` | the same: what SQLAlchemy says about Python's driver is left out |
public struct ServiceRegistryLocation: Sendable {
    private enum Kind {
        case sqlite(String)
        case postgreSQL(PostgreSQLConfiguration)
    }

    private let kind: Kind
    /// The location without its password.
    private let shown: String

    private init(_ kind: Kind, shown: String) {
        self.kind = kind
        self.shown = shown
    }

    /// A file of this machine.
    ///
    /// - Parameter path: Its path.
    /// - Returns: The location.
    public static func sqlite(path: String) -> ServiceRegistryLocation {
        ServiceRegistryLocation(.sqlite(path), shown: "sqlite://\(path)")
    }

    /// Reads a URL.
    ///
    /// - Parameter url: The URL; a password in it is never shown.
    /// - Throws: `invalid` for what cannot be read, and for databases that are not supported, by name.
    public init(_ url: Secret) throws(ServiceRegistryError) {
        let text = url.reveal()
        guard let separator = text.firstRange(of: "://") else {
            throw ServiceRegistryError(.invalid, "the URL of the database has no scheme, such as sqlite:///path")
        }
        let scheme = text[..<separator.lowerBound]
        switch scheme.prefix(while: { $0 != "+" }) {
        case "sqlite":
            let rest = text[separator.upperBound...]
            let path = rest.drop { $0 == "/" }
            guard rest.first == "/", !path.isEmpty, !path.utf8.contains(0) else {
                throw ServiceRegistryError(.invalid, "the URL of the database names no file: sqlite:///path")
            }
            self = .sqlite(path: "/\(path)")
        case "postgresql", "postgres":
            do {
                self.init(.postgreSQL(try PostgreSQLConfiguration(url: text)), shown: Secret(url: text).masked)
            } catch {
                throw ServiceRegistryError(.invalid, error.message)
            }
        default:
            throw ServiceRegistryError(
                .invalid,
                "databases of the kind '\(scheme.prefix(40))' are not supported; take sqlite or postgresql"
            )
        }
    }

    /// Reads the option `database_connection`; `nil` where it is empty.
    ///
    /// - Parameter configuration: The program's configuration.
    /// - Throws: `invalidConfiguration`.
    public init?(_ configuration: ServiceConfiguration) throws(ServiceError) {
        let url = configuration[.databaseConnection]
        guard !url.reveal().isEmpty else { return nil }
        do {
            try self.init(url)
        } catch {
            throw ServiceError(.invalidConfiguration, "option 'database_connection' is wrong: \(error.message)")
        }
    }

    /// The registry there; it is opened with its first use.
    ///
    /// - Parameter schema: Whether it makes the tables where they are not there, as services do; `.existing` for one that
    ///   only looks.
    /// - Returns: The registry.
    public func registry(schema: ServiceRegistrySchema = .made) -> any ServiceRegistry {
        switch self.kind {
        case .sqlite(let path): SQLiteServiceRegistry(path: path, schema: schema)
        case .postgreSQL(let configuration): PostgreSQLServiceRegistry(configuration, at: self.shown, schema: schema)
        }
    }
}

extension ServiceRegistryLocation: CustomStringConvertible, CustomReflectable {
    /// The location without its password.
    public var description: String { self.shown }
    /// The same, so that `dump` finds no more.
    public var customMirror: Mirror { Mirror(self, children: ["location": self.shown]) }
}

/// What becomes of a registry's tables when it is opened.
public struct ServiceRegistrySchema: Sendable, Hashable {
    private enum Kind {
        case made, existing
    }
    private let kind: Kind

    /// They are made, or brought to the present version, where that is needed.
    public static let made = ServiceRegistrySchema(kind: .made)
    /// They must be there.
    public static let existing = ServiceRegistrySchema(kind: .existing)

    /// The steps from an empty database to the present tables; each is one statement, which both databases read alike.
    ///
    /// A later step must leave a table that earlier versions of the software can work with: they go on while hosts are
    /// upgraded one after the other.
    static let steps = [
        """
        CREATE TABLE steward_service (
            topic TEXT NOT NULL,
            host TEXT NOT NULL,
            "binary" TEXT NOT NULL,
            availability_zone TEXT NOT NULL,
            versions TEXT NOT NULL,
            incarnation TEXT NOT NULL,
            disabled BOOLEAN NOT NULL,
            disabled_reason TEXT,
            frozen BOOLEAN NOT NULL,
            report_count BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            PRIMARY KEY (topic, host)
        )
        """
    ]

    /// Says what to do with tables of a version.
    ///
    /// - Returns: The steps that are missing, with their numbers.
    /// - Throws: `newerSchema`, `noRegistry`.
    func missingSteps(
        after version: Int,
        at location: String
    ) throws(ServiceRegistryError) -> [(number: Int, sql: String)] {
        guard version <= Self.steps.count else {
            throw ServiceRegistryError(
                .newerSchema,
                "the registry in \(location) was written by a later version of this program; run that version or a later one"
            )
        }
        guard version == Self.steps.count || self == .made else {
            throw ServiceRegistryError(
                .noRegistry,
                version == 0
                    ? "there is no registry of services in \(location)"
                    : "the registry in \(location) is of an earlier version; start a service of this one first"
            )
        }
        return Self.steps.enumerated().dropFirst(version).map { ($0.offset + 1, $0.element) }
    }
}
