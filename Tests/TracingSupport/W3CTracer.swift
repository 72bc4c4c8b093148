package import InMemoryTracing
package import Tracing

/// A tracer that keeps its spans, and speaks W3C's trace context.
package struct W3CTracer: Tracer {
    /// What keeps the spans.
    package let spans: InMemoryTracer

    /// Creates a tracer without spans.
    package init() {
        self.spans = InMemoryTracer(
            idGenerator: InMemoryTracer.IDGenerator(
                nextTraceID: { Self.hexadecimal(2) },
                nextSpanID: { Self.hexadecimal(1) }
            )
        )
    }

    private static func hexadecimal(_ words: Int) -> String {
        (0..<words).map { _ in
            let text = String(UInt64.random(in: 1...UInt64.max), radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> ServiceContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> InMemorySpan {
        self.spans.startSpan(
            operationName,
            context: context(),
            ofKind: kind,
            at: instant(),
            function: function,
            file: fileID,
            line: line
        )
    }

    package func forceFlush() {}

    package func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let span = context.inMemorySpanContext else { return }
        injector.inject("00-\(span.traceID)-\(span.spanID)-01", forKey: "traceparent", into: &carrier)
        injector.inject("steward=test", forKey: "tracestate", into: &carrier)
        injector.inject(String(repeating: "b", count: 100_000), forKey: "baggage", into: &carrier)
    }

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout ServiceContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let parent = extractor.extract(key: "traceparent", from: carrier) else { return }
        let parts = parent.split(separator: "-").map(String.init)
        context.inMemorySpanContext = InMemorySpanContext(traceID: parts[1], spanID: parts[2], parentSpanID: nil)
    }
}

extension FinishedInMemorySpan {
    /// An attribute that is text.
    package func attribute(_ name: String) -> String? {
        guard case .string(let text) = self.attributes.get(name) else { return nil }
        return text
    }
}
