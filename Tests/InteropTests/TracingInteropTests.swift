import InMemoryTracing
import Messaging
import MessagingRabbitMQ
import Testing
import Tracing
import TracingSupport

/// Traces that cross to oslo.messaging and back.
///
/// Its own tracing keeps the trace in the request's context.
@Suite(.pythonServers, .pythonClient, .serialized, .timeLimit(.minutes(3))) struct TracingInteropTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "00-\(trace)-b7ad6b7169203331-01"

    @Test func `a Python client's trace goes on at our server`() async throws {
        let client = try #require(PythonClient.current)
        let topic = InteropEnvironment.uniqueTopic("traced")
        let tracer = W3CTracer()
        try await withTracer(tracer) { () async throws -> Void in
            try await withTransport { transport in
                let endpoint = RPCEndpoint { RPCHandler("echo") { _, arguments in arguments } }
                let target = Target.topic(topic, server: "one")
                try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
                    let answer = try await client.ask([
                        "op": "call", "topic": .string(topic), "timeout": 20, "method": "echo", "args": ["x": 1],
                        "context": ["traceparent": .string(Self.parent), "tracestate": "a=b"],
                    ])
                    #expect(answer["result"] == ["x": 1])
                }
            }
        }
        let span = try #require(tracer.spans.finishedSpans.first)
        #expect(span.kind == .server)
        #expect(span.traceID == Self.trace)
        #expect(span.parentSpanID == "b7ad6b7169203331")
    }

    @Test func `a Python server finds our trace where its own tracing looks, and is not disturbed by our headers`()
        async throws
    {
        let topic = try #require(PythonServer.current).topic
        let tracer = W3CTracer()
        try await withTracer(tracer) { () async throws -> Void in
            try await withTransport { transport in
                let client = RPCClient(transport, target: .topic(topic)).prepare { $0.timeout = .seconds(20) }
                #expect(try await client.call("add", ["a": 1, "b": 2]) == 3)
                let context = try await client.call("context", context: RPCContext(["user": "someone"]))
                #expect(context["user"] == "someone")
                let span = try #require(tracer.spans.finishedSpans.last)
                #expect(context["traceparent"] == .string("00-\(span.traceID)-\(span.spanID)-01"))
                #expect(context["tracestate"] == "steward=test")
            }
        }
    }
}
