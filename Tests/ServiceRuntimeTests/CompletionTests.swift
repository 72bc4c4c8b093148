import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(1)))
struct CompletionTests {
    @Test func `all who wait get the first value`() async {
        let completion = Completion<Int>()
        let values = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<10 { group.addTask { await completion.value() } }
            completion.fulfil(1)
            completion.fulfil(2)
            return await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        #expect(values == Array(repeating: 1, count: 10))
    }

    @Test func `who is cancelled stops waiting, the others do not`() async {
        let completion = Completion<Int>()
        let cancelled = Task { await completion.value() }
        let waiting = Task { await completion.value() }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        completion.fulfil(3)
        #expect(await waiting.value == 3)
    }

    @Test func `who is cancelled before it waits does not wait`() async {
        let completion = Completion<Int>()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await completion.value()
        }
        #expect(await task.value == nil)
    }
}
