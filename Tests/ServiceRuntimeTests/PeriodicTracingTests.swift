import InMemoryTracing
import Messaging
import MessagingTesting
import Testing
import Tracing
import TracingSupport

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(1))) struct PeriodicTracingTests {
    @Test func `each run of a periodic task is a span and a trace; what it calls belongs to it`() async throws {
        let tracer = W3CTracer()
        let clock = VirtualClock()
        let transport = InMemoryTransport(InMemoryBroker())
        try await withTracer(tracer) { () async throws -> Void in
            let sink = RPCClient(transport, target: .topic("sink"))
            let tasks = [
                PeriodicTask("report", every: .seconds(10), jitter: 0) { _ in try await sink.fanout("hello") },
                PeriodicTask("broken", every: .seconds(10), jitter: 0) { _ in throw TestFailure("no") },
            ]
            let context = try PeriodicTaskContext(for: TestManager(tasks: tasks), clock: clock)
            for _ in 1...2 {
                await clock.advance(by: .seconds(10))
                try await TestManager(tasks: tasks).periodicTasks(context: context)
            }
        }
        let spans = tracer.spans.finishedSpans
        let reports = spans.filter { $0.operationName == "periodic report" }
        #expect(reports.count == 2 && reports.allSatisfy { $0.parentSpanID == nil && $0.status == nil })
        #expect(Set(reports.map(\.traceID)).count == 2)
        let sent = spans.filter { $0.kind == .producer }
        #expect(Set(sent.map(\.parentSpanID)) == Set(reports.map(\.spanID)))
        let broken = spans.filter { $0.operationName == "periodic broken" }
        #expect(broken.count == 2 && broken.allSatisfy { $0.status?.code == .error && $0.errors.count == 1 })
        #expect(broken.first?.attribute("server.address") == "node-1")
    }
}
