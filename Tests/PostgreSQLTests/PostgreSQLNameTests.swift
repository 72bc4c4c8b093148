import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

@testable import PostgreSQL

/// How the names of hosts are looked up.
@Suite(.timeLimit(.minutes(2))) struct PostgreSQLNameTests {
    /// A resolver that says nothing until it is told to.
    private final class Names: Sendable {
        private struct State {
            var addresses: [String]?
            var asked: [String] = []
        }
        private let state: Mutex<State>
        private let isTold = DispatchSemaphore(value: 0)

        init(_ addresses: [String]? = nil) { self.state = Mutex(State(addresses: addresses)) }

        var asked: [String] { self.state.withLock(\.asked) }

        /// From now on it answers.
        func answer(_ addresses: [String]) {
            self.state.withLock { $0.addresses = addresses }
            for _ in 0..<100 { self.isTold.signal() }
        }

        var resolver: HostResolver {
            HostResolver { name in
                let known = self.state.withLock { state in
                    state.asked.append(name)
                    return state.addresses
                }
                if let known { return .success(known) }
                // As a resolver whose name servers are silent.
                self.isTold.wait()
                return .success([])
            }
        }
    }

    private func client(
        _ url: String,
        _ names: Names,
        _ change: (inout PostgreSQLConfiguration) -> Void = { _ in }
    ) throws -> PostgreSQLClient {
        var configuration = try PostgreSQLConfiguration(url: url)
        configuration.minimumBackoff = .milliseconds(1)
        configuration.maximumBackoff = .milliseconds(1)
        change(&configuration)
        return PostgreSQLClient(configuration, thread: PostgreSQLThread(), resolver: names.resolver)
    }

    private func url(_ host: String) throws -> String {
        try PrivatePostgreSQL.sharedURL.replacingOccurrences(of: "@127.0.0.1", with: "@\(host)")
    }

    private func one(_ client: PostgreSQLClient) async throws -> Int64? {
        try await client.transaction { try $0.execute("SELECT 1 AS one").first?.integer("one") }
    }

    /// Listens on an address of loopback; its backlog takes connections, and nobody answers them.
    private func listen(on address: String, _ port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = in_port_t(port).bigEndian
        place.sin_addr.s_addr = inet_addr(address)
        let isListening = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 && Glibc.listen(descriptor, 8) == 0
            }
        }
        try #require(isListening)
        return descriptor
    }

    @Test func `a resolver that says nothing holds nobody up longer than a connection may take`() async throws {
        let names = Names()
        defer { names.answer([]) }
        let client = try self.client(self.url("db.test"), names) { $0.connectTimeout = .milliseconds(400) }
        let start = ContinuousClock.now
        let error = await #expect(throws: PostgreSQLError.self) { try await self.one(client) }
        #expect(error?.code == .unavailable && error?.isOutage == true)
        #expect(error?.message.contains("'db.test'") == true)
        #expect((.milliseconds(390)..<(.seconds(2))).contains(ContinuousClock.now - start))
        // The client's thread is free again, although that look-up goes on.
        names.answer(["127.0.0.1"])
        try await Task.sleep(for: .milliseconds(5))
        #expect(try await self.one(client) == 1)
        #expect(names.asked == ["db.test", "db.test"])
    }

    @Test func `a resolver that says nothing of one host leaves time for the next`() async throws {
        let names = Names()
        defer { names.answer([]) }
        let client = try self.client(self.url("db.test,127.0.0.1"), names) {
            $0.connectTimeout = .seconds(1)
        }
        let start = ContinuousClock.now
        #expect(try await self.one(client) == 1)
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func `a cancelled task does not wait for a resolver`() async throws {
        let names = Names()
        defer { names.answer([]) }
        let client = try self.client(self.url("db.test"), names) { $0.connectTimeout = .seconds(60) }
        let task = Task { try await self.one(client) }
        while names.asked.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        let start = ContinuousClock.now
        task.cancel()
        let error = await #expect(throws: PostgreSQLError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func `look-ups that nobody waits for do not pile up`() async throws {
        let names = Names()
        defer { names.answer([]) }
        let client = try self.client(self.url("db.test"), names) { $0.connectTimeout = .milliseconds(20) }
        for _ in 0..<HostLookups.limit + 4 {
            await #expect(throws: PostgreSQLError.self) { try await self.one(client) }
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(names.asked.count == HostLookups.limit)
        // Those that end make room.
        names.answer(["127.0.0.1"])
        var isConnected = false
        while !isConnected {
            try await Task.sleep(for: .milliseconds(5))
            isConnected = (try? await self.one(client)) == 1
        }
    }

    @Test func `each address of a name is tried, one that is silent for its share of the time`() async throws {
        let port = try #require(URLComponents(string: try PrivatePostgreSQL.sharedURL)?.port)
        let silent = try self.listen(on: "127.0.0.2", port)
        defer { close(silent) }
        // Nobody listens at the second.
        let client = try self.client(self.url("db.test"), Names(["127.0.0.2", "127.0.0.3", "127.0.0.1"])) {
            $0.connectTimeout = .milliseconds(1500)
        }
        let start = ContinuousClock.now
        #expect(try await self.one(client) == 1)
        #expect(ContinuousClock.now - start >= .milliseconds(490))

        let misled = try self.client(self.url("db.test"), Names(["127.0.0.3", "127.0.0.2"])) {
            $0.connectTimeout = .milliseconds(300)
        }
        let error = await #expect(throws: PostgreSQLError.self) { try await self.one(misled) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("127.0.0.2") == true && error?.message.contains("127.0.0.3") == true)

        let unknown = try self.client(self.url("db.test"), Names([]))
        let none = await #expect(throws: PostgreSQLError.self) { try await self.one(unknown) }
        #expect(none?.code == .unavailable && none?.message == "host 'db.test' has no address")
    }

    @Test func `TLS is checked against the name and not the address`() async throws {
        try await PrivatePostgreSQL.with { server in
            let names = Names(["127.0.0.1"])
            for (name, isRight) in [("localhost", true), ("db.test", false)] {
                let url = server.url("sslmode=verify-full&sslrootcert=\(server.certificate)")
                    .replacingOccurrences(of: "@127.0.0.1", with: "@\(name)")
                let client = try self.client(url, names)
                if isRight {
                    #expect(try await self.one(client) == 1)
                } else {
                    let error = await #expect(throws: PostgreSQLError.self) { try await self.one(client) }
                    #expect(error?.code == .unavailable && error?.message.contains("db.test") == true)
                }
            }
            #expect(names.asked == ["localhost", "db.test"])
        }
    }

    @Test func `addresses and sockets of this machine are not looked up`() {
        for host in [
            ["host": "127.0.0.1"], ["host": "::1"], ["host": "fe80::1%lo"], ["host": "/run/postgresql"], ["host": "@x"],
            ["host": ""], [:], ["host": "db.test", "hostaddr": "127.0.0.1"],
        ] {
            #expect(HostResolver.name(in: host) == nil, "\(host)")
        }
        #expect(HostResolver.name(in: ["host": "db.test", "hostaddr": ""]) == "db.test")
    }

    @Test func `the system's resolver finds addresses, and says why it finds none`() throws {
        #expect(try HostResolver.system.addresses("localhost").get().contains("127.0.0.1"))
        let error = #expect(throws: PostgreSQLError.self) {
            try HostResolver.system.addresses("no.such.host.invalid").get()
        }
        #expect(error?.code == .unavailable && error?.message.contains("'no.such.host.invalid'") == true)
    }
}
