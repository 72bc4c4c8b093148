import Testing

@testable import Messaging

@Suite struct RPCStatisticsTests {
    private let now = ContinuousClock.now
    private let add = RPCHandler("add") { _, _ in .null }
    private let remove = RPCHandler("remove", namespace: "n") { _, _ in .null }

    private var statistics: RPCStatistics {
        RPCStatistics([
            RPCEndpoint { self.add }, RPCEndpoint(version: "2.0") { self.add },
            RPCEndpoint(namespace: "n") { self.remove },
        ])
    }

    @Test func `each method has its own figures`() throws {
        let statistics = self.statistics
        let endings: [RPCStatistics.Ending] = [
            .succeeded, .succeeded, .failed(isExpected: true), .failed(isExpected: false), .cancelled,
        ]
        for (index, ending) in endings.enumerated() {
            let run = statistics.begin(self.add, receivedAt: self.now - .milliseconds(20), now: self.now)
            statistics.end(run, ending, now: self.now + .milliseconds(100 * (index + 1)))
        }
        _ = statistics.begin(self.add, receivedAt: self.now, now: self.now)
        statistics.countExpired("add", namespace: nil)
        statistics.countDuplicate("add", namespace: nil)
        statistics.countRefusal(.accessDenied, of: "add")
        statistics.countRefusal(.accessDenied, of: "add")
        let methods = statistics.methodStatistics()
        #expect(methods.map(\.name) == ["add", "remove"])
        let add = methods[0]
        #expect(add.calls == 6)
        #expect(add.inFlight == 1)
        #expect(add.succeeded == 2)
        #expect(add.errors == ControlRPC.Errors(expected: 1, unexpected: 1))
        #expect(add.cancelled == 1)
        #expect(add.expired == 1)
        #expect(add.duplicates == 1)
        #expect(add.refusals == ["access_denied": 2])
        let runTime = try #require(add.runTime)
        #expect(runTime.count == 5)
        #expect(runTime.max == 0.5)
        #expect(abs(runTime.p50 - 0.3) < 0.3 / 64)
        #expect(abs(runTime.p99 - 0.5) < 0.5 / 64)
        #expect(abs(runTime.mean - 0.3) < 1e-6)
        #expect(add.queueWait?.count == 6)
        #expect(methods[1].namespace == "n")
        #expect(methods[1].calls == 0)
        #expect(methods[1].runTime == nil)
    }

    @Test func `what nobody serves is counted together, however many names there are`() {
        let statistics = self.statistics
        for number in 1...1_000 {
            statistics.countRefusal(.noSuchMethod, of: "no-\(number)")
            statistics.countExpired("no-\(number)", namespace: "\(number)")
        }
        statistics.countRefusal(.malformed)
        #expect(statistics.methodStatistics().count == 2)
        #expect(statistics.otherRefusals() == ["no_such_method": 1_000, "malformed": 1])
        #expect(statistics.totalRefusals()["no_such_method"] == 1_000)
        #expect(statistics.totalRefusals()["access_denied"] == 0)
        #expect(statistics.otherExpired() == 1_000)
    }

    @Test func `figures add up when they come from many tasks`() async {
        let statistics = self.statistics
        let (add, now) = (self.add, self.now)
        await withTaskGroup(of: Void.self) { group in
            for _ in 1...8 {
                group.addTask {
                    for _ in 1...1_000 {
                        let run = statistics.begin(add, receivedAt: now, now: now)
                        statistics.end(run, .succeeded, now: now)
                    }
                }
            }
        }
        let figures = statistics.methodStatistics()[0]
        #expect(figures.calls == 8_000)
        #expect(figures.succeeded == 8_000)
        #expect(figures.inFlight == 0)
    }

    @Test func `the answer to stats travels as it is`() throws {
        let statistics = self.statistics
        statistics.end(statistics.begin(self.add, receivedAt: self.now, now: self.now), .succeeded, now: self.now)
        let methods = statistics.methodStatistics()
        let text = try RawJSON(encoding: methods)
        #expect(try text.decode([ControlRPC.MethodStatistics].self) == methods)
        let names = try #require(text.value()[0]?.objectValue).keys
        #expect(names.contains("in_flight") && names.contains("queue_wait") && names.contains("run_time"))
    }
}
