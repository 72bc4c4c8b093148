package import Tracing

/// The program's tracer, where one was set up before its client or server was made.
package final class ProgramTracer: Sendable {
    /// A span that is sent along with a message.
    ///
    /// A class: without a tracer each call hands on that there is none, which is to cost no more than a pointer.
    final class Carried: Sendable {
        let span: any Span
        /// What the instrument has put beside the message.
        let headers: [String: String]

        fileprivate init(span: any Span, headers: [String: String]) {
            self.span = span
            self.headers = headers
        }

        /// The request with the same in its context, where oslo.messaging's own tracing writes and reads it.
        func added(to request: RPCClient.Request) -> RPCClient.Request {
            var request = request
            for (name, value) in self.headers { request.context[name] = .string(value) }
            return request
        }

        /// Says which message it is.
        func note(uniqueID: String?, messageID: String? = nil) {
            self.span.updateAttributes { attributes in
                attributes["messaging.message.id"] = uniqueID
                attributes["messaging.message.conversation_id"] = messageID
            }
        }
    }

    private let tracer: any Tracer
    private let instrument: any Instrument

    private init(tracer: any Tracer, instrument: any Instrument) {
        self.tracer = tracer
        self.instrument = instrument
    }

    /// The tracer that is set up now; `nil` where there is none.
    package static var current: ProgramTracer? {
        let instrument = InstrumentationSystem.instrument
        guard !(instrument is NoOpInstrument) else { return nil }
        return ProgramTracer(tracer: InstrumentationSystem.tracer, instrument: instrument)
    }

    /// Does something within a span.
    ///
    /// - Parameters:
    ///   - name: What is done.
    ///   - kind: On which side of a message, if at all.
    ///   - context: What it is part of.
    ///   - attributes: What is known of it.
    ///   - isFailure: Whether an error makes the span one that failed; it is recorded in any case.
    ///   - body: What is done.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    package func withSpan<Value>(
        _ name: String,
        _ kind: SpanKind,
        in context: ServiceContext,
        _ attributes: [String: String?],
        isFailure: (any Error) -> Bool = { _ in true },
        _ body: (any Span) async throws -> Value
    ) async throws -> Value {
        let span = self.tracer.startSpan(name, context: context, ofKind: kind)
        defer { span.end() }
        if span.isRecording {
            span.updateAttributes { target in
                for (name, value) in attributes where value != nil { target[name] = value }
            }
        }
        do {
            return try await ServiceContext.$current.withValue(span.context) { try await body(span) }
        } catch {
            span.recordError(error)
            span.updateAttributes { $0["error.type"] = RemoteFailure(describing: error).className }
            if isFailure(error) { span.setStatus(SpanStatus(code: .error)) }
            throw error
        }
    }

    /// Sends a request within a span of the sender's side.
    func send<Value>(
        _ request: RPCClient.Request,
        to target: Target,
        isCall: Bool,
        _ body: (RPCClient.Request, Carried) async throws -> Value
    ) async throws -> Value {
        let attributes: [String: String?] = [
            "rpc.system": Self.system,
            "rpc.service": request.service ?? target.topic,
            "rpc.method": request.method,
            "messaging.operation.type": "send",
            "messaging.destination.name": target.destinationName,
            "server.address": target.isFanout ? nil : target.server,
        ]
        return try await self.withSpan(
            "\(request.service ?? target.topic)/\(request.method)",
            isCall ? .client : .producer,
            in: .current ?? .topLevel,
            attributes
        ) { span in
            var headers = TraceHeaders()
            self.instrument.inject(span.context, into: &headers, using: TraceHeaders.Access())
            let carried = Carried(span: span, headers: headers.values)
            return try await body(carried.added(to: request), carried)
        }
    }

    /// Runs a handler within a span of the receiver's side, and within the trace that the message belongs to.
    func serve<Value>(
        _ job: RPCServer.Job,
        _ requestContext: RPCContext,
        at target: Target,
        _ body: () async throws -> Value
    ) async throws -> Value {
        var context = ServiceContext.topLevel
        let headers = TraceHeaders(job.delivery.headers, in: requestContext)
        self.instrument.extract(headers, into: &context, using: TraceHeaders.Access())
        let request = job.request
        let service = request.namespace ?? target.topic
        let attributes: [String: String?] = [
            "rpc.system": Self.system,
            "rpc.service": service,
            "rpc.method": request.method,
            "messaging.operation.type": "process",
            "messaging.destination.name": job.delivery.queue,
            "messaging.message.id": request.uniqueID,
            "messaging.message.conversation_id": request.messageID,
            "server.address": target.server,
        ]
        return try await self.withSpan(
            "\(service)/\(request.method)",
            request.isCall ? .server : .consumer,
            in: context,
            attributes,
            // What belongs to a method's ordinary business is no failure of its server.
            isFailure: { ($0 as? any RemoteFailureConvertible)?.isExpected != true }
        ) { _ in try await body() }
    }

    private static let system = "oslo.messaging"
}

/// The headers that an instrument reads and writes, within bounds: whoever sends a message may write what he likes, and
/// what is sent has to fit the smallest frame of AMQP.
struct TraceHeaders: Sendable {
    /// The longest header that is read, in bytes: W3C's limit for baggage.
    private static let longest = 8192
    /// How much is written, names included, in bytes.
    private static let room = 3072

    private(set) var values: [String: String]

    /// Where it is looked for what the headers do not say.
    private let context: RPCContext

    init(_ values: [String: String] = [:], in context: RPCContext = RPCContext()) {
        self.values = values
        self.context = context
    }

    private func value(of key: String) -> String? {
        // A state says something of its parent alone (W3C trace context, 3.3): both are taken from the same place.
        if key == TraceParent.Header.parent || key == TraceParent.Header.state,
            !TraceParent.isValid(self.values[TraceParent.Header.parent] ?? "")
        {
            return self.context[key]?.stringValue
        }
        return self.values[key] ?? (key == TraceParent.Header.state ? nil : self.context[key]?.stringValue)
    }

    struct Access: Extractor, Injector {
        func extract(key: String, from headers: TraceHeaders) -> String? {
            guard let value = headers.value(of: key), value.utf8.count <= TraceHeaders.longest else { return nil }
            guard value.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) else { return nil }
            return key == TraceParent.Header.parent && !TraceParent.isValid(value) ? nil : value
        }

        func inject(_ value: String, forKey key: String, into headers: inout TraceHeaders) {
            let others = headers.values.filter { $0.key != key }
            let size = others.reduce(key.utf8.count + value.utf8.count) { $0 + $1.key.utf8.count + $1.value.utf8.count }
            // A trace that lacks its baggage is better than a request that cannot be sent.
            guard !key.isEmpty, key.utf8.count <= 128, size <= TraceHeaders.room else { return }
            headers.values[key] = value
        }
    }
}

extension Target {
    /// The queue or the exchange that a message to the target goes to, as operators see it at the broker.
    fileprivate var destinationName: String {
        if self.isFanout { return "\(self.topic)_fanout" }
        return self.server.map { "\(self.topic).\($0)" } ?? self.topic
    }
}
