import Testing

@testable import Messaging

@Suite(.timeLimit(.minutes(1))) struct SendWindowTests {
    private let clock = ContinuousClock()

    @Test func `who comes when it is full waits for a place, until a deadline`() async throws {
        let window = SendWindow(size: 2)
        for _ in 1...2 { try await window.enter(until: .now + .seconds(30), clock: self.clock) }
        await #expect(throws: DeadlinePassed.self) {
            try await window.enter(until: .now + .milliseconds(10), clock: self.clock)
        }
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await window.enter(until: .now + .seconds(30), clock: self.clock) }
            window.leave()
        }
        #expect(window.count == 2)
    }

    @Test func `its being empty can be waited for, for a while`() async throws {
        let window = SendWindow(size: 2)
        #expect(await window.empty(within: .seconds(30), clock: self.clock) == 0)
        try await window.enter(until: .now + .seconds(30), clock: self.clock)
        #expect(await window.empty(within: .milliseconds(10), clock: self.clock) == 1)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { #expect(await window.empty(within: .seconds(30), clock: self.clock) == 0) }
            for _ in 0..<20 { await Task.yield() }
            window.leave()
        }
    }
}
