import Messaging

/// From a request to its handler, in a server with one endpoint and in one with many.
let dispatchBenchmarks = [1, 100].map { dispatching(among: $0) }

private func dispatching(among count: Int) -> Microbenchmark {
    Microbenchmark(name: "dispatch-\(count)", iterations: 1_000) {
        let dispatcher = RPCDispatcher(endpoints: (0..<count).map { endpoint($0) })
        var request = try Sample.request(1)
        request.namespace = "service-\(count - 1)"
        let asked = request
        return { use(try dispatcher.handler(for: asked, userID: nil)) }
    }
}

private func endpoint(_ number: Int) -> RPCEndpoint {
    let namespace = "service-\(number)"
    return RPCEndpoint(namespace: namespace, version: "3.16") {
        for name in ["create_volume", "delete_volume", "get_volume", "list_volumes", "update_volumes"] {
            RPCMethod<Arguments, Void>(name, namespace: namespace, since: "3.0").handled { _, _ in }
        }
    }
}
