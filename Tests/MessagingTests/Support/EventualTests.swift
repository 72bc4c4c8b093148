import Testing

@testable import Messaging

@Suite(.timeLimit(.minutes(3)))
struct EventualTests {
    @Test func `all who wait get the first value`() async {
        let eventual = Eventual<Int>()
        let values = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<10 { group.addTask { await eventual.wait() } }
            eventual.fulfil(1)
            eventual.fulfil(2)
            return await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        #expect(values == Array(repeating: 1, count: 10))
        #expect(eventual.current == 1)
    }

    @Test func `who is cancelled stops waiting, the others do not`() async throws {
        let eventual = Eventual<Int>()
        let cancelled = Task { await eventual.wait() }
        let throwing = Task { try await eventual.value(until: .now + .seconds(50)) }
        let waiting = Task { try await eventual.value() }
        cancelled.cancel()
        throwing.cancel()
        #expect(await cancelled.value == nil)
        await #expect(throws: CancellationError.self) { try await throwing.value }
        eventual.fulfil(3)
        #expect(try await waiting.value == 3)
    }

    @Test func `who is cancelled before it waits does not wait`() async {
        let eventual = Eventual<Int>()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await eventual.wait()
        }
        #expect(await task.value == nil)
    }

    @Test func `a value that has come is had even by who is cancelled`() async {
        let eventual = Eventual<Int>()
        eventual.fulfil(4)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await eventual.wait()
        }
        #expect(await task.value == 4)
    }

    @Test func `a deadline ends one wait and leaves the value to come`() async throws {
        let eventual = Eventual<Int>()
        await #expect(throws: DeadlinePassed.self) { try await eventual.value(until: .now + .milliseconds(20)) }
        #expect(!eventual.isResolved)
        eventual.fulfil(5)
        #expect(try await eventual.value(until: .now - .seconds(1)) == 5)
    }

    @Test func `an error in the value's place is thrown`() async {
        struct Failure: Error {}
        let eventual = Eventual<Int>()
        eventual.resolve(.failure(Failure()))
        await #expect(throws: Failure.self) { try await eventual.value() }
        #expect(await eventual.wait() == nil)
        #expect(eventual.current == nil)
        #expect(eventual.isResolved)
    }
}
