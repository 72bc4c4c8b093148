package import TestSupport

/// Three RabbitMQ nodes in a cluster, each on a loopback address of its own, that can be stopped, killed, frozen and cut off.
package final class FaultCluster: Sendable {
    /// The nodes, whose addresses are 127.0.0.1, 127.0.0.2 and 127.0.0.3.
    package let nodes: [PrivateNode]

    private init(_ nodes: [PrivateNode]) {
        self.nodes = nodes
    }

    /// Lends a cluster; afterwards nothing of it is left.
    ///
    /// A node that sees no majority stops serving (RabbitMQ's `pause_minority`).
    package static func with<Value>(_ body: (FaultCluster) async throws -> Value) async throws -> Value {
        var nodes: [PrivateNode] = []
        let outcome: Result<Value, any Error>
        do {
            for number in 1...3 {
                let peer = nodes.first.map { ["--peer", $0.directory] } ?? []
                let options = ["--address", "127.0.0.\(number)", "--pause-minority"] + peer
                nodes.append(try await PrivateNode.start(options))
            }
            outcome = .success(try await body(FaultCluster(nodes)))
        } catch {
            outcome = .failure(error)
        }
        // The first has the name server of all.
        for node in nodes.reversed() { try await node.remove() }
        return try outcome.get()
    }

    /// The URL of some of the nodes, counted from 1, in the order in which they are tried.
    package func url(_ numbers: [Int]) throws -> String {
        let hosts = try numbers.map { number in
            let url = try self.nodes[number - 1].url
            return url.dropFirst("amqp://".count).prefix { $0 != "/" }
        }
        return "rabbit://\(hosts.joined(separator: ","))/"
    }

    /// Cuts a node off from the others: they lose their connections to it and can make no new ones.
    ///
    /// It is done at the nodes' own doors, by a cookie that does not fit, and works where a test may not make networks.
    package func cutOff(_ number: Int) async throws {
        print("partition: node \(number) is cut off by its cookie")
        try await self.nodes[number - 1].control(
            "eval",
            """
            [begin erlang:set_cookie(N, cut_off), erlang:disconnect_node(N) end \
            || N <- \(Self.others(than: number))].
            """
        )
    }

    /// Lets a node that was cut off find the others again.
    package func heal(_ number: Int) async throws {
        try await self.nodes[number - 1].control(
            "eval",
            "[erlang:set_cookie(N, erlang:get_cookie()) || N <- \(Self.others(than: number))]."
        )
    }

    private static func others(than number: Int) -> String {
        let names = (1...3).filter { $0 != number }.map { "'private\($0)@127.0.0.\($0)'" }
        return "[\(names.joined(separator: ", "))]"
    }
}
