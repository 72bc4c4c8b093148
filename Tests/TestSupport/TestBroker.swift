public import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The real broker that the tests run against: `AMQP_URL`, and the management API beside it.
///
/// A test that needs it fails where it is not set; nothing is skipped.
public struct TestBroker: Sendable {
    /// Why a test cannot have its broker.
    public struct Unavailable: Error, CustomStringConvertible {
        /// What is missing, and what sets it.
        public let description: String

        /// Says what is missing.
        public init(description: String) {
            self.description = description
        }
    }

    /// The user of the broker and of its management API.
    public let user: String
    /// The user's password; the private nodes of the tests have RabbitMQ's default one.
    public let password: String
    /// The broker's host.
    public let host: String
    /// The broker's AMQP port.
    public let port: Int
    /// Where the management API answers.
    public let management: URL

    /// The program that is rabbitmqctl for the broker's node, if it is known.
    private let controlProgram: String?

    /// Reads where the broker is.
    ///
    /// - Parameter environment: The process's own, or what the start of a private node printed.
    /// - Throws: ``Unavailable`` where the environment does not say.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        guard let text = environment["AMQP_URL"], let url = URLComponents(string: text), let host = url.host else {
            throw Unavailable(description: "AMQP_URL is not set: run scripts/test, which starts a broker and sets it")
        }
        guard let management = environment["STEWARD_MANAGEMENT_URL"].flatMap(URLComponents.init(string:)) else {
            throw Unavailable(
                description: "STEWARD_MANAGEMENT_URL is not set: run scripts/test, or start a broker with --management"
            )
        }
        self.host = host
        self.port = url.port ?? 5672
        self.user = url.user ?? "guest"
        self.password = url.password ?? "guest"
        var base = management
        base.user = nil
        base.password = nil
        base.path = ""
        guard let management = base.url else {
            throw Unavailable(description: "STEWARD_MANAGEMENT_URL is not a URL")
        }
        self.management = management
        self.controlProgram = environment["STEWARD_RABBITMQCTL"]
    }

    /// The address of a virtual host, for `scheme` `amqp` or `rabbit`.
    public func url(virtualHost: String, scheme: String = "amqp") -> String {
        "\(scheme)://\(self.user):\(self.password)@\(self.host):\(self.port)/\(virtualHost)"
    }

    /// Lends a virtual host of its own, which is deleted afterwards with all that is in it.
    public func withVirtualHost<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        let name = try await self.makeVirtualHost()
        do {
            let value = try await body(name)
            try await self.deleteVirtualHost(name)
            return value
        } catch {
            try await self.deleteVirtualHost(name)
            throw error
        }
    }

    /// Makes a virtual host.
    public func makeVirtualHost() async throws -> String {
        let name = "test-\(UUID().uuidString.lowercased())"
        try await self.request("PUT", "vhosts/\(name)")
        try await self.request(
            "PUT",
            "permissions/\(name)/\(self.user)",
            body: #"{"configure": ".*", "write": ".*", "read": ".*"}"#
        )
        return name
    }

    /// Deletes a virtual host with all that is in it.
    public func deleteVirtualHost(_ name: String) async throws {
        try await self.request("DELETE", "vhosts/\(name)")
    }

    /// Deletes a queue.
    public func deleteQueue(_ queue: String, virtualHost: String) async throws {
        try await self.request("DELETE", "queues/\(virtualHost)/\(queue)")
    }

    /// Deletes an exchange with its bindings.
    public func deleteExchange(_ exchange: String, virtualHost: String) async throws {
        try await self.request("DELETE", "exchanges/\(virtualHost)/\(exchange)")
    }

    /// How many consumers each queue of a virtual host has; asked of the node itself, as the management API learns of it
    /// late.
    public func consumersByQueue(virtualHost: String) async throws -> [String: Int] {
        guard let program = self.controlProgram else {
            throw Unavailable(description: "STEWARD_RABBITMQCTL is not set: run scripts/test")
        }
        let output = try await PrivateNode.run(
            program,
            ["--quiet", "list_queues", "-p", virtualHost, "--no-table-headers", "consumers", "name"]
        )
        var consumers: [String: Int] = [:]
        for line in output.split(separator: "\n") {
            let fields = line.split(separator: "\t")
            guard fields.count == 2, let count = Int(fields[0]) else {
                throw Unavailable(description: "rabbitmqctl list_queues answered '\(line)'")
            }
            consumers[String(fields[1])] = count
        }
        return consumers
    }

    /// Closes all connections to a virtual host, as an operator may.
    ///
    /// - Returns: How many there were; the management API learns of a connection only after a moment.
    @discardableResult
    public func closeConnections(virtualHost: String) async throws -> Int {
        struct Connection: Decodable { let name: String }
        let listed = try JSONDecoder().decode(
            [Connection].self,
            from: try await self.request("GET", "vhosts/\(virtualHost)/connections")
        )
        for connection in listed {
            let name = connection.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            try await self.request("DELETE", "connections/\(name)", missingIsFine: true)
        }
        return listed.count
    }

    /// Asks the management API.
    ///
    /// - Returns: The answer's body.
    @discardableResult
    public func request(
        _ method: String,
        _ path: String,
        body: String? = nil,
        missingIsFine: Bool = false
    ) async throws -> Data {
        guard let url = URL(string: "api/\(path)", relativeTo: self.management) else {
            throw Unavailable(description: "no URL: \(path)")
        }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        let credentials = Data("\(self.user):\(self.password)".utf8).base64EncodedString()
        request.setValue("Basic \(credentials)", forHTTPHeaderField: "Authorization")
        request.httpBody = body.map { Data($0.utf8) }
        let (data, response) = try await URLSession.shared.data(for: request)
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        guard (200..<300).contains(status) || (missingIsFine && status == 404) else {
            throw Unavailable(description: "\(method) \(path): \(status) \(String(decoding: data, as: UTF8.self))")
        }
        return data
    }

    /// Runs rabbitmqctl against the broker's node, and gives what it prints.
    public func controlOutput(_ arguments: String...) async throws -> String {
        guard let program = self.controlProgram else {
            throw Unavailable(description: "STEWARD_RABBITMQCTL is not set: run scripts/test")
        }
        return try await PrivateNode.run(program, arguments)
    }

    /// Runs rabbitmqctl against the broker's node.
    public func control(_ arguments: String...) async throws {
        guard let program = self.controlProgram else {
            throw Unavailable(description: "STEWARD_RABBITMQCTL is not set: run scripts/test")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do {
                try process.runUnblocked()
            } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        guard process.terminationStatus == 0 else {
            throw Unavailable(description: "rabbitmqctl \(arguments.joined(separator: " ")) failed")
        }
    }
}
