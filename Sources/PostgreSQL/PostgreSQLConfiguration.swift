internal import CPostgres

/// Where a PostgreSQL database is, and how long is waited for it.
package struct PostgreSQLConfiguration: Sendable, CustomReflectable {
    /// How long making a connection may take, all hosts of the URL together; 5 s by default.
    ///
    /// The look-up of their names is part of it, but for names in a service file, which libpq looks up itself. A server
    /// that has no connection left is asked again until the time is over.
    package var connectTimeout: Duration = .seconds(5)
    /// How long a transaction may take from its first statement on; 5 s by default.
    ///
    /// The server is told the same limit for each statement, so that it does not go on with what nobody waits for.
    /// Limits that the URL sets in `options` are left as they are.
    package var transactionTimeout: Duration = .seconds(5)
    /// How long a connection that nobody uses is kept; 1 s by default.
    ///
    /// A server has few connections, 100 by default, while hundreds of hosts may report to it, each every 10 s.
    package var idleTimeout: Duration = .seconds(1)
    /// How soon after a failed attempt the next one is made; 100 ms by default.
    ///
    /// It is doubled up to ``maximumBackoff``, and half of it is by chance. Until then every use fails at once with the
    /// error of the last attempt.
    package var minimumBackoff: Duration = .milliseconds(100)
    /// The longest time between two attempts; 5 s by default.
    package var maximumBackoff: Duration = .seconds(5)
    /// The name under which the server lists the connection; `steward` by default.
    package var applicationName = "steward"

    /// What libpq is told for each host, in the order in which they are tried.
    let hosts: [[String: String]]

    /// Shows nothing, as a password is in it.
    package var customMirror: Mirror { Mirror(self, children: [:]) }

    /// Reads a URL.
    ///
    /// `postgresql://user:password@host[:port][,…]/database?sslmode=verify-full&sslrootcert=/path` as libpq takes it,
    /// and SQLAlchemy's spellings, such as `postgresql+psycopg2://`. What it leaves out comes from libpq's environment
    /// variables (`PGPASSWORD`) and the password file.
    ///
    /// - Parameter url: The URL.
    /// - Throws: `invalidURL`.
    package init(url: String) throws(PostgreSQLError) {
        guard let separator = url.firstRange(of: "://") else {
            throw PostgreSQLError(.invalidURL, "the URL of the database has no scheme")
        }
        let scheme = url[..<separator.lowerBound].prefix { $0 != "+" }
        guard ["postgresql", "postgres"].contains(scheme) else {
            throw PostgreSQLError(.invalidURL, "'\(scheme)' is not PostgreSQL's scheme")
        }
        guard !url.utf8.contains(0) else { throw PostgreSQLError(.invalidURL, "the URL of the database holds a NUL") }
        let keywords = try Self.keywords(of: "postgresql" + url[separator.lowerBound...])
        self.hosts = Self.split(keywords)
    }

    /// Each host by itself: libpq knows no time limit over several while it is asked without blocking, so that the
    /// first silent one would take all of ours.
    private static func split(_ keywords: [String: String]) -> [[String: String]] {
        let lists = ["host", "hostaddr", "port"].map { name in
            (name, keywords[name]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
        }
        let count = lists.prefix(2).compactMap(\.1?.count).max() ?? 1
        return (0..<count).map { index in
            var host = keywords
            for (name, list) in lists {
                guard let list else { continue }
                host[name] = index < list.count ? list[index] : list.count == 1 ? list[0] : ""
            }
            return host
        }
    }

    private static func keywords(of url: String) throws(PostgreSQLError) -> [String: String] {
        var message: UnsafeMutablePointer<CChar>?
        let options = unsafe PQconninfoParse(url, &message)
        defer {
            unsafe PQconninfoFree(options)
            unsafe PQfreemem(message)
        }
        guard unsafe options != nil else {
            // The parser quotes what it does not understand, which may be a part of the password.
            let reason = url.contains("@") ? nil : unsafe message.map { unsafe String(cString: $0) }
            throw PostgreSQLError(
                .invalidURL,
                "libpq cannot read the URL of the database; reserved characters are written as %XX"
                    + (reason.map { ": \($0.trimmedLines)" } ?? "")
            )
        }
        var result = unsafe Self.values(of: options)
        // A service file goes before the environment; what is in it is left to libpq.
        guard result["service"] == nil else { return result }
        // Names are to be known before libpq connects, those in its environment variables (PGHOST) as well.
        let defaults = unsafe PQconndefaults()
        defer { unsafe PQconninfoFree(defaults) }
        let others = unsafe Self.values(of: defaults).filter { ["host", "hostaddr", "port"].contains($0.key) }
        result.merge(others) { given, _ in given }
        return result
    }

    private static func values(of options: UnsafeMutablePointer<PQconninfoOption>?) -> [String: String] {
        var result: [String: String] = [:]
        var option = unsafe options
        while let keyword = unsafe option?.pointee.keyword {
            if let value = unsafe option?.pointee.val {
                unsafe result[String(cString: keyword)] = unsafe String(cString: value)
            }
            unsafe option = option?.successor()
        }
        return result
    }

    /// What libpq is told for one host: what the URL says, and limits where it says none.
    func parameters(of host: [String: String]) -> [String: String] {
        var parameters = [
            "fallback_application_name": self.applicationName,
            "client_encoding": "UTF8",
            "gssencmode": "disable",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "tcp_user_timeout": "\(self.transactionMilliseconds)",
        ].merging(host) { _, given in given }
        // Every name in the result is the one that is read: the library relies on it.
        parameters["client_encoding"] = "UTF8"
        return parameters
    }

    /// What begins a transaction, with the server's limits for it: several statements, for one round trip.
    ///
    /// The limits hold for the transaction alone and not for the session, and do not travel as start-up parameters: a
    /// pooler of transactions, as PgBouncer is, gives each transaction another session, and refuses such parameters.
    var beginning: String {
        let milliseconds = self.transactionMilliseconds
        let own = Self.settings(in: self.hosts.first?["options"] ?? "")
        let limits = [
            ("statement_timeout", milliseconds), ("lock_timeout", milliseconds),
            ("idle_in_transaction_session_timeout", 2 * milliseconds),
        ].filter { !own.contains($0.0) }
        return (["BEGIN"] + limits.map { "SET LOCAL \($0.0) = \($0.1)" }).joined(separator: "; ")
    }

    private var transactionMilliseconds: Int { max(1, Int(self.transactionTimeout / .milliseconds(1))) }

    /// The names of the settings in `options`, which has the arguments of a server: `-c name=value`, `-cname=value` and
    /// `--name=value`.
    private static func settings(in options: String) -> Set<String> {
        let names = options.split(whereSeparator: \.isWhitespace).map { argument in
            let name = argument.prefix { $0 != "=" }
            let bare = ["--", "-c"].first { name.hasPrefix($0) }.map { name.dropFirst($0.count) } ?? name
            return bare.lowercased().replacing("-", with: "_")
        }
        return Set(names)
    }
}

extension String {
    /// The text on one line: messages of libpq end in a line break and have several lines.
    var trimmedLines: String {
        self.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }
}
