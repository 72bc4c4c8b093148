import InMemoryTracing
import Messaging
import MessagingRabbitMQ
import TestSupport
import Testing
import Tracing
import TracingSupport

/// Traces over a real broker.
@Suite(.timeLimit(.minutes(2))) struct TracingTests {
    private struct Broken: Error {}

    @Test func `client, server and what the server calls are one trace; an error is recorded on its way back`()
        async throws
    {
        let tracer = W3CTracer()
        try await Place.with { place in
            try await withTracer(tracer) { () async throws -> Void in
                try await place.withTransport { transport in
                    let back = Target.topic("back", server: "b")
                    let front = Target.topic("front", server: "a")
                    let inner = RPCEndpoint { RPCHandler("fail") { _, _ in throw Broken() } }
                    let outer = RPCEndpoint {
                        RPCHandler("work") { _, _ in
                            try await RPCClient(transport, target: back).call("fail", timeout: .seconds(20))
                        }
                    }
                    try await withRPCServer(on: transport, target: back, endpoints: [inner]) { _ in
                        try await withRPCServer(on: transport, target: front, endpoints: [outer]) { _ in
                            let client = RPCClient(transport, target: .topic("front"))
                            await #expect(throws: RPCError.self) {
                                try await client.call("work", timeout: .seconds(20))
                            }
                        }
                    }
                }
            }
        }
        let spans = tracer.spans.finishedSpans
        #expect(spans.map(\.operationName) == ["back/fail", "back/fail", "front/work", "front/work"])
        #expect(spans.map(\.kind) == [.server, .client, .server, .client])
        #expect(Set(spans.map(\.traceID)).count == 1)
        #expect(spans.dropLast().map(\.parentSpanID) == spans.dropFirst().map(\.spanID))
        #expect(spans.allSatisfy { $0.errors.count == 1 && $0.status?.code == .error })
        #expect(spans[0].errors.first?.error is Broken)
        #expect(spans[3].attribute("messaging.destination.name") == "front")
        #expect(spans[2].attribute("messaging.destination.name") == "front")
        #expect(spans[0].attribute("messaging.destination.name") == "back.b")
    }
}
