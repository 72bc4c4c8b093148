public import Messaging

/// What every transport must do: one suite, in named checks, for ours and for yours.
///
/// ```swift
/// @Test(arguments: TransportConformance.checks)
/// func `the in-memory transport conforms`(_ check: TransportConformance.Check) async throws {
///     try await check.run(on: InMemoryHarness())
/// }
/// ```
public enum TransportConformance {
    /// What the suite needs of a transport's surroundings.
    public protocol Harness: Sendable {
        /// A new transport on the same broker as the others of this harness.
        func makeTransport() async throws -> any Transport
        /// Deletes a queue at the broker, with all that is in it.
        func deleteQueue(_ name: String) async throws
        /// Breaks the connections of a transport that this harness made; it has to come back by itself.
        func interrupt(_ transport: any Transport) async throws
        /// Stops or resumes all publishers at the broker.
        func setBlocked(_ isBlocked: Bool) async throws
        /// How many consumers each queue has that is there.
        func consumersByQueue() async throws -> [String: Int]
        /// Ends what the harness made.
        func close() async
    }

    /// One promise of the suite.
    public struct Check: Sendable, CustomStringConvertible {
        /// The promise, as a sentence.
        public let description: String
        /// Whether the check does something to the whole broker, which should not be one that other tests use just then.
        public let disturbsBroker: Bool
        private let body: @Sendable (Bench) async throws -> Void

        init(
            _ description: String,
            disturbsBroker: Bool = false,
            _ body: @escaping @Sendable (Bench) async throws -> Void
        ) {
            self.description = description
            self.disturbsBroker = disturbsBroker
            self.body = body
        }

        /// Runs the check; expectations that do not hold are recorded as issues of the running test.
        public func run(on harness: any Harness) async throws {
            do {
                try await self.body(Bench(harness))
            } catch {
                await harness.close()
                throw error
            }
            await harness.close()
        }
    }

    /// All checks.
    public static var checks: [Check] {
        [
            self.routing,
            self.queues,
            self.delivery,
            self.faults,
            self.calls,
            self.progress,
            self.servers,
            self.control,
            self.workers,
            self.serverContract,
            self.clientContract,
            self.versions,
            self.leftovers,
            self.atLeastOnce,
        ].flatMap { $0 }
    }

    /// What a check works with: a harness, and a topic that no other check uses.
    struct Bench: Sendable {
        let harness: any Harness
        let topic = "conformance-" + makeUniqueID()
        /// Opened by a check that has had handlers wait.
        let gate = EventRecorder<Void>()

        init(_ harness: any Harness) {
            self.harness = harness
        }

        func transport() async throws -> any Transport { try await self.harness.makeTransport() }

        /// A listener, and the record of what it receives.
        func listener(
            _ server: String,
            on transport: any Transport,
            prefetch: Int = 100
        ) async throws -> (any Listener, EventRecorder<Delivery>) {
            let received = EventRecorder<Delivery>()
            let listener = try await transport.listen(
                on: .server(.topic(self.topic, server: server)),
                prefetch: prefetch
            ) {
                received.record($0)
            }
            return (listener, received)
        }

        func send(
            _ text: String,
            to destination: Destination,
            over transport: any Transport,
            timeToLive: Duration? = nil
        ) async throws {
            try await transport.send(
                Message(body: Array(text.utf8), timeToLive: timeToLive),
                to: destination,
                options: SendOptions(isMandatory: true, deadline: .now + .seconds(20))
            )
        }
    }
}

extension Delivery {
    /// The body as text, for checks that sent text.
    var text: String { String(decoding: self.body, as: UTF8.self) }
}
