import FaultHarness
import Foundation
import Messaging
import Synchronization
import TestSupport
import Testing

/// A connection that is lost between a message and its confirm: nobody knows whether the broker has it.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ConfirmFaultTests {
    /// The bodies that went to the broker, by their methods.
    private final class Bodies: Sendable {
        private let state = Mutex((bodies: [String](), cuts: 0, isArmed: false))

        /// Has the next connection cut that a rule is about.
        func arm() { self.state.withLock { $0.isArmed = true } }

        /// Notes a body.
        func add(_ frame: FaultProxy.Frame) {
            self.state.withLock { $0.bodies.append(String(decoding: frame.payload, as: UTF8.self)) }
        }

        /// Whether this connection is to be cut.
        func cutsNow() -> Bool {
            self.state.withLock { state in
                defer { state.isArmed = false }
                if state.isArmed { state.cuts += 1 }
                return state.isArmed
            }
        }

        var cuts: Int { self.state.withLock(\.cuts) }

        /// How often each body was sent.
        func counts(of method: String) -> [Int] {
            let bodies = self.state.withLock { $0.bodies.filter { $0.contains("\\\"\(method)\\\"") } }
            return Dictionary(grouping: bodies) { $0 }.values.map(\.count)
        }
    }

    /// Casts through a proxy that cuts five connections by a rule.
    private func withCuts(
        _ cut: @escaping @Sendable (FaultProxy.Frame) -> FaultProxy.Verdict?,
        _ body: (FaultService, Bodies) async throws -> Void
    ) async throws {
        let broker = try TestBroker()
        try await broker.withVirtualHost { name in
            let url = broker.url(virtualHost: name)
            try await FaultProxy.with(before: url) { proxy, damaged in
                try await FaultService.with(url, clientURL: damaged) { service in
                    try await service.untilAnswered()
                    let bodies = Bodies()
                    proxy.onFrame { frame in
                        if frame.direction == .toBroker, frame.type == 3 { bodies.add(frame) }
                        guard let verdict = cut(frame), bodies.cutsNow() else { return .pass }
                        return verdict
                    }
                    try await body(service, bodies)
                    #expect(bodies.cuts == 5)
                    try await service.untilSettled()
                    #expect(service.checker.violations == [])
                }
            }
        }
    }

    private static let afterBody: @Sendable (FaultProxy.Frame) -> FaultProxy.Verdict? = { frame in
        frame.direction == .toBroker && frame.type == 3 ? .cutAfter : nil
    }

    private static let beforeConfirm: @Sendable (FaultProxy.Frame) -> FaultProxy.Verdict? = { frame in
        frame.direction == .toClient && frame.method == 0x003C_0050 ? .cutBefore : nil
    }

    @Test(arguments: [true, false])
    func `fault 4: a cast to be done at least once is sent again with its id, and is done once`(
        _ isTaken: Bool
    ) async throws {
        try await self.withCuts(isTaken ? Self.beforeConfirm : Self.afterBody) { service, bodies in
            for number in 1...20 {
                if number.isMultiple(of: 4) { bodies.arm() }
                let started = ContinuousClock.now
                let cuts = bodies.cuts
                let error = await service.cast(FaultService.surely)
                #expect(error == nil, "\(error.map { "\($0)" } ?? "")")
                if bodies.cuts > cuts { FaultFigures.record(fault: 4, "confirmed after a cut", .now - started) }
            }
            try await service.untilSettled()
            #expect(service.checker.confirmations == 20)
            // Byte for byte the same, its id included; and of those that the broker had, the second was not run.
            #expect(
                bodies.counts(of: "surely").sorted() == Array(repeating: 1, count: 15) + Array(repeating: 2, count: 5)
            )
        }
    }

    @Test func `fault 4: a cast to be done at most once is not sent again, and its caller is told what is known`()
        async throws
    {
        try await self.withCuts(Self.beforeConfirm) { service, bodies in
            var unknown = 0
            for number in 1...20 {
                if number.isMultiple(of: 4) { bodies.arm() }
                guard let error = await service.cast(FaultService.once) else { continue }
                #expect(error.rpcCode == .connectionLost, "\(error)")
                unknown += 1
            }
            #expect(unknown == 5 && service.checker.unknowns == 5)
            #expect(bodies.counts(of: "once") == Array(repeating: 1, count: 20))
            // The broker had all of them.
            try await service.until(within: .seconds(10), "all were executed") { service.checker.executions >= 21 }
        }
    }

    @Test func `fault 4: a call is not sent again, and ends by its reply or by an error`() async throws {
        try await self.withCuts(Self.afterBody) { service, bodies in
            for number in 1...20 {
                if number.isMultiple(of: 4) { bodies.arm() }
                let started = ContinuousClock.now
                let error = await service.call(timeout: .seconds(10))
                #expect(error == nil || [.connectionLost, .timeout].contains(error?.rpcCode), "\(error as Any)")
                // Neither is waited for until the deadline.
                #expect(.now - started < .seconds(5))
            }
            #expect(bodies.counts(of: "echo").allSatisfy { $0 == 1 })
        }
    }
}
