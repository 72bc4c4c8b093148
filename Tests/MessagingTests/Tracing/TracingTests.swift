import InMemoryTracing
import Logging
import MessagingTesting
import Synchronization
import Testing
import Tracing
import TracingSupport

@testable import Messaging

@Suite(.timeLimit(.minutes(1))) struct TracingTests {
    private struct Broken: Error {}
    private struct NotFound: Error, RemoteFailureConvertible {
        var remoteFailure: RemoteFailure { RemoteFailure(className: "NotFound", module: "m", message: "no") }
    }

    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "00-\(trace)-b7ad6b7169203331-01"

    private let broker = InMemoryBroker()
    private var transport: InMemoryTransport { InMemoryTransport(self.broker) }

    private func serve(
        _ topic: String,
        on transport: InMemoryTransport,
        _ handlers: [RPCHandler],
        _ body: @Sendable (RPCClient) async throws -> Void
    ) async throws {
        let target = Target.topic(topic, server: "node-1")
        let endpoint = RPCEndpoint(version: "1.0") { handlers }
        try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
            try await body(RPCClient(transport, target: target))
        }
    }

    /// The headers of what is sent to a topic that nobody serves but this.
    private func recorded(_ body: (_ sink: Target) async throws -> Void) async throws -> [[String: String]] {
        // What is not acknowledged would come again, at whoever listens next.
        let target = Target.topic("sink-\(makeUniqueID())", server: "node-1")
        let headers = Mutex<[[String: String]]>([])
        let listener = try await self.transport.listen(on: .server(target), prefetch: 10) { deliveries in
            headers.withLock { $0 += deliveries.map(\.headers) }
        }
        try await body(target)
        await listener.close()
        return headers.withLock(\.self)
    }

    private func work(_ body: @escaping @Sendable () async throws -> Void) -> RPCHandler {
        RPCHandler("work") { _, _ in
            try await body()
            return .null
        }
    }

    @Test func `a call that leads to another is one trace of four spans`() async throws {
        let tracer = W3CTracer()
        let transport = self.transport
        try await withTracer(tracer) {
            try await self.serve("back", on: transport, [self.work {}]) { back in
                let front = self.work { _ = try await back.call("work") }
                try await self.serve("front", on: transport, [front]) { client in _ = try await client.call("work") }
            }
        }
        let spans = tracer.spans.finishedSpans
        #expect(spans.map(\.operationName) == ["back/work", "back/work", "front/work", "front/work"])
        #expect(spans.map(\.kind) == [.server, .client, .server, .client])
        #expect(Set(spans.map(\.traceID)).count == 1)
        let parents = spans.dropFirst().map(\.spanID)
        #expect(spans.dropLast().map(\.parentSpanID) == parents)
        #expect(spans[3].parentSpanID == nil)
        #expect(spans.allSatisfy { $0.errors.isEmpty && $0.status == nil })
        #expect(spans[0].attribute("messaging.message.id") == spans[1].attribute("messaging.message.id"))
        for (name, value) in [
            ("rpc.system", "oslo.messaging"), ("rpc.service", "front"), ("rpc.method", "work"),
            ("messaging.destination.name", "front.node-1"), ("server.address", "node-1"),
        ] {
            #expect(spans[3].attribute(name) == value)
            #expect(spans[2].attribute(name) == value)
        }
    }

    @Test func `casts and fanouts are producer and consumer`() async throws {
        let tracer = W3CTracer()
        let done = TestCount()
        try await withTracer(tracer) {
            try await self.serve("topic", on: self.transport, [self.work { done.add() }]) { client in
                try await client.cast("work")
                try await client.fanout("work")
                try await client.prepare { $0.awaitsConfirm = false }.cast("work")
                await done.wait(for: 3)
            }
        }
        let kinds = Dictionary(grouping: tracer.spans.finishedSpans, by: \.kind).mapValues(\.count)
        #expect(kinds == [.producer: 3, .consumer: 3])
        #expect(Set(tracer.spans.finishedSpans.map(\.traceID)).count == 3)
    }

    @Test func `who asks all hosts has one span, and each host one of its own beneath it`() async throws {
        let tracer = W3CTracer()
        let transport = self.transport
        try await withTracer(tracer) {
            try await self.serve("topic", on: transport, [self.work {}]) { client in
                let endpoint = RPCEndpoint(version: "1.0") { [self.work { throw Broken() }] }
                let other = Target.topic("topic", server: "node-2")
                try await withRPCServer(on: transport, target: other, endpoints: [endpoint]) { _ in
                    let work = RPCMethod<Void, Void>("work", since: "1.0")
                    #expect(try await client.gather(work, within: .seconds(30), upTo: 2).count == 2)
                    while tracer.spans.finishedSpans.count < 3 { try await Task.sleep(for: .milliseconds(5)) }
                }
            }
        }
        let spans = tracer.spans.finishedSpans
        let asking = try #require(spans.first { $0.kind == .client })
        let answering = spans.filter { $0.kind == .server }
        #expect(spans.count == 3 && Set(spans.map(\.traceID)).count == 1)
        #expect(answering.map(\.parentSpanID) == [asking.spanID, asking.spanID])
        #expect(Set(answering.map { $0.attribute("server.address") }) == ["node-1", "node-2"])
        // One host's failure is an answer, not a failure of the question.
        #expect(answering.filter { $0.status?.code == .error }.count == 1 && asking.status == nil)
    }

    @Test func `errors are recorded; what is expected is no failure of the server`() async throws {
        let tracer = W3CTracer()
        let handlers = [self.work { throw Broken() }, RPCHandler("find") { _, _ in throw NotFound() }]
        try await withTracer(tracer) {
            try await self.serve("topic", on: self.transport, handlers) { client in
                await #expect(throws: RPCError.self) { try await client.call("work") }
                await #expect(throws: RPCError.self) { try await client.call("find") }
            }
        }
        let spans = tracer.spans.finishedSpans
        #expect(spans.map(\.kind) == [.server, .client, .server, .client])
        #expect(spans.map { $0.status?.code == .error } == [true, true, false, true])
        #expect(spans.map(\.errors.count) == [1, 1, 1, 1])
        #expect(spans[2].attribute("error.type") == "NotFound")
    }

    @Test func `what an instrument writes is sent within bounds, and does not replace our own headers`() async throws {
        let headers = try await self.recorded { sink in
            try await withTracer(W3CTracer()) { () async throws -> Void in
                let client = RPCClient(self.transport, target: sink)
                try await client.cast("work")
            }
        }
        #expect(headers.count == 1)
        #expect(headers.first?["tracestate"] == "steward=test")
        #expect(headers.first?["traceparent"].map(TraceParent.isValid) == true)
        #expect(headers.first?["baggage"] == nil)
    }

    @Test func `without a tracer nothing is sent`() async throws {
        let headers = try await self.recorded { sink in try await RPCClient(self.transport, target: sink).cast("work") }
        #expect(headers == [[:]])
    }

    /// Sends a request with headers to a server whose handler sends another one; answers that one's headers.
    private func passedOn(_ headers: [String: String], tracer: W3CTracer? = nil) async throws -> [String: String] {
        let transport = self.transport
        let recorded = try await self.recorded { sink in
            let done = TestCount()
            let run = { @Sendable () async throws -> Void in
                let client = RPCClient(transport, target: sink)
                let handler = self.work {
                    try await client.cast("work")
                    done.add()
                }
                try await self.serve("topic", on: transport, [handler]) { _ in
                    let body = RequestPayload(method: "work", version: "1.0").encoded()
                    try await transport.send(
                        Message(body: body, headers: headers),
                        to: .topic("topic", exchange: nil),
                        options: SendOptions()
                    )
                    await done.wait(for: 1)
                }
            }
            if let tracer { try await withTracer(tracer) { try await run() } } else { try await run() }
        }
        return try #require(recorded.first)
    }

    @Test func `without a tracer the trace of a request goes on with what its handler sends`() async throws {
        let headers = ["traceparent": Self.parent, "tracestate": "a=b"]
        #expect(try await self.passedOn(headers) == headers)
        #expect(try await self.passedOn(["traceparent": Self.parent, "x": "y"]) == ["traceparent": Self.parent])
    }

    static let malformed = [
        "", "00", "00-\(trace)-b7ad6b7169203331", "ff-\(trace)-b7ad6b7169203331-01", "00-\(trace)-0000000000000000-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-\(trace)-b7ad6b7169203331-01-more",
        "00-\(trace.uppercased())-b7ad6b7169203331-01", "00_\(trace)-b7ad6b7169203331-01",
        String(repeating: "0", count: 1_000_000), "00-\(trace)-b7ad6b7169203331-0\n", "ü",
        "01-\(trace)-b7ad6b7169203331-01.",
    ]

    @Test(arguments: malformed) func `a malformed trace is none`(parent: String) async throws {
        #expect(!TraceParent.isValid(parent))
        #expect(try await self.passedOn(["traceparent": parent, "tracestate": "a=b"]) == [:])
        let tracer = W3CTracer()
        let traced = try await self.passedOn(["traceparent": parent], tracer: tracer)
        #expect(traced["traceparent"].map(TraceParent.isValid) == true)
        #expect(tracer.spans.finishedSpans.first { $0.kind == .consumer }?.parentSpanID == nil)
    }

    @Test func `a state that is too long or not plain is left behind, a later version is understood`() async throws {
        for state in [String(repeating: "s", count: 513), "a=\u{7}", "ü", ""] {
            let headers = try await self.passedOn(["traceparent": Self.parent, "tracestate": state])
            #expect(headers == ["traceparent": Self.parent])
        }
        #expect(TraceParent.isValid("01-\(Self.trace)-b7ad6b7169203331-01-more"))
    }

    @Test func `a trace in the request's context, as Python writes it, is understood and written`() async throws {
        let tracer = W3CTracer()
        let seen = Mutex<[RPCContext]>([])
        let handler = RPCHandler("work") { context, _ in
            seen.withLock { $0.append(context) }
            return .null
        }
        let transport = self.transport
        try await withTracer(tracer) {
            try await self.serve("topic", on: transport, [handler]) { client in
                let context = RPCContext(["traceparent": .string(Self.parent), "user": "ann"])
                _ = try await client.call("work", context: context)
                let body = RequestPayload(method: "work", version: "1.0", context: context.values).encoded()
                try await transport.send(
                    Message(body: body),
                    to: .server("node-1", topic: "topic", exchange: nil),
                    options: SendOptions()
                )
                while tracer.spans.finishedSpans.count < 3 { try await Task.sleep(for: .milliseconds(5)) }
            }
        }
        // Ours is the span that the call makes, in place of what the context had before.
        let spans = tracer.spans.finishedSpans
        let first = try #require(seen.withLock(\.self).first)
        #expect(first["traceparent"]?.stringValue?.contains(spans[1].spanID) == true)
        #expect(first["user"] == "ann")
        #expect(spans[2].kind == .consumer && spans[2].traceID == Self.trace)
        #expect(spans[2].parentSpanID == "b7ad6b7169203331")
    }

    @Test func `a parent and its state are taken from one place`() {
        let access = TraceHeaders.Access()
        let other = "00-\(String(repeating: "a", count: 32))-b7ad6b7169203331-01"
        let context = RPCContext(["traceparent": .string(other), "tracestate": "of=other", "baggage": "a=1"])
        func read(_ headers: [String: String]) -> [String?] {
            let headers = TraceHeaders(headers, in: context)
            return ["traceparent", "tracestate", "baggage"].map { access.extract(key: $0, from: headers) }
        }
        #expect(read([:]) == [other, "of=other", "a=1"])
        #expect(read(["traceparent": Self.parent]) == [Self.parent, nil, "a=1"])
        #expect(read(["traceparent": Self.parent, "tracestate": "a=b"]) == [Self.parent, "a=b", "a=1"])
        // What cannot be read does not hide what can.
        #expect(read(["traceparent": "no", "tracestate": "a=b"]) == [other, "of=other", "a=1"])
    }

    @Test func `a request that is sent on for another attempt stays in its trace`() async throws {
        let seen = Mutex<[String?]>([])
        let delivery = DeliveryContract.atLeastOnce(attempts: 3, backoff: .constant(.milliseconds(1)))
        let handler = RPCHandler("work", delivery: delivery) { _, _ in
            let count = seen.withLock { seen in
                seen.append(RunningRequest.current?.job.delivery.traceParent?.text)
                return seen.count
            }
            if count == 1 { throw Broken() }
            return .null
        }
        let transport = self.transport
        try await self.serve("topic", on: transport, [handler]) { _ in
            let body = RequestPayload(method: "work", version: "1.0").encoded()
            try await transport.send(
                Message(body: body, headers: ["traceparent": Self.parent]),
                to: .topic("topic", exchange: nil),
                options: SendOptions()
            )
            while seen.withLock(\.count) < 2 { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(seen.withLock(\.self) == [Self.parent, Self.parent])
    }

    @Test func `the span of a call that is cancelled ends, and of its handler too`() async throws {
        let tracer = W3CTracer()
        let started = TestCount()
        let handler = self.work {
            started.add()
            try await Task.sleep(for: .seconds(60))
        }
        let transport = self.transport
        try await withTracer(tracer) {
            try await self.serve("topic", on: transport, [handler]) { client in
                let call = Task { try await client.call("work") }
                await started.wait(for: 1)
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                while tracer.spans.finishedSpans.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
            }
        }
        #expect(Set(tracer.spans.finishedSpans.map(\.kind)) == [.client, .server])
        #expect(tracer.spans.finishedSpans.allSatisfy { $0.errors.count == 1 })
    }

    @Test func `log lines name the trace`() async throws {
        let provider = Logger.MetadataProvider.servedRequest
        let seen = Mutex<[Logger.Metadata]>([])
        let done = TestCount()
        let handler = self.work {
            seen.withLock { $0.append(provider.get()) }
            done.add()
        }
        let transport = self.transport
        try await self.serve("topic", on: transport, [handler]) { client in
            for headers in [["traceparent": Self.parent], ["traceparent": "no"]] {
                let body = RequestPayload(method: "work", version: "1.0").encoded()
                let destination = Destination.topic("topic", exchange: nil)
                try await transport.send(Message(body: body, headers: headers), to: destination, options: SendOptions())
            }
            _ = try await client.call("work")
            await done.wait(for: 3)
        }
        let ids = seen.withLock { $0.map { $0["trace_id"] } }
        #expect(ids.count == 3 && ids.contains("\(Self.trace)") && ids.count { $0 == nil } == 2)
    }
}

/// How often something happened.
private final class TestCount: Sendable {
    private let count = Mutex(0)
    private let changed = AsyncStream<Void>.makeStream()

    func add() {
        self.count.withLock { $0 += 1 }
        self.changed.continuation.yield()
    }

    func wait(for count: Int) async {
        for await _ in self.changed.stream where self.count.withLock(\.self) >= count { return }
    }
}
