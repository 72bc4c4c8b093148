import Foundation
import Testing

@testable import PostgreSQL

@Suite struct PostgreSQLURLTests {
    @Test func `a URL is read as libpq reads it, and SQLAlchemy's drivers are left out`() throws {
        for scheme in ["postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg"] {
            let configuration = try PostgreSQLConfiguration(
                url: "\(scheme)://cinder:p%40ss@db:6000/services?sslmode=require"
            )
            let host = try #require(configuration.hosts.first)
            #expect(configuration.hosts.count == 1)
            #expect(host["host"] == "db" && host["port"] == "6000" && host["dbname"] == "services")
            #expect(host["user"] == "cinder" && host["password"] == "p@ss" && host["sslmode"] == "require")
        }
    }

    @Test func `several hosts are tried one after the other`() throws {
        let configuration = try PostgreSQLConfiguration(url: "postgresql://u@a:1,b:2,[::1]/d")
        #expect(configuration.hosts.map { $0["host"] } == ["a", "b", "::1"])
        #expect(configuration.hosts.map { $0["port"] } == ["1", "2", ""])
    }

    @Test func `limits are set unless the URL has its own`() throws {
        var configuration = try PostgreSQLConfiguration(
            url: "postgresql://u@a/d?keepalives_idle=7&client_encoding=LATIN1"
        )
        configuration.transactionTimeout = .milliseconds(1500)
        let parameters = configuration.parameters(of: configuration.hosts[0])
        #expect(parameters["keepalives_idle"] == "7")
        #expect(parameters["tcp_user_timeout"] == "1500")
        #expect(parameters["client_encoding"] == "UTF8")
        // PgBouncer refuses it.
        #expect(parameters["options"] == nil)
        #expect(
            configuration.beginning == "BEGIN; SET LOCAL statement_timeout = 1500; SET LOCAL lock_timeout = 1500; "
                + "SET LOCAL idle_in_transaction_session_timeout = 3000"
        )
    }

    @Test(arguments: [
        "-cstatement_timeout=9", "-c statement_timeout=9", "--statement-timeout=9", "-c a=b  -c STATEMENT_TIMEOUT=9s",
    ])
    func `a limit among the options of the URL is left as it is`(options: String) throws {
        let value = try #require(options.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
        var configuration = try PostgreSQLConfiguration(url: "postgresql://u@a,b/d?options=\(value)")
        configuration.transactionTimeout = .milliseconds(1500)
        #expect(configuration.hosts.allSatisfy { configuration.parameters(of: $0)["options"] == options })
        #expect(
            configuration.beginning
                == "BEGIN; SET LOCAL lock_timeout = 1500; SET LOCAL idle_in_transaction_session_timeout = 3000"
        )
    }

    @Test func `settings with similar names are no limits`() throws {
        let configuration = try PostgreSQLConfiguration(url: "postgresql://u@a/d?options=-cdeadlock_timeout%3D9")
        #expect(configuration.beginning.contains("SET LOCAL lock_timeout = 5000"))
    }

    @Test(arguments: [
        "", "no scheme", "mysql://u:hush@h/d", "postgresql://u:hu%sh@h/d", "postgresql://u:hush@h/d?sslmod=require",
        "postgresql://u:hush@[::1/d", "postgresql://u:hush\0@h/d",
    ])
    func `what cannot be read is refused without a word of the password`(url: String) {
        let error = #expect(throws: PostgreSQLError.self) { try PostgreSQLConfiguration(url: url) }
        #expect(error?.code == .invalidURL)
        #expect(error?.description.contains("hu") == false)
    }

    @Test func `a configuration that is dumped shows no password`() throws {
        var text = ""
        dump(try PostgreSQLConfiguration(url: "postgresql://u:hush@h/d"), to: &text)
        #expect(!text.contains("hush"))
    }
}
