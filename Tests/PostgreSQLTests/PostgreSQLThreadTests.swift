import Synchronization
import Testing

@testable import PostgreSQL

@Suite(.timeLimit(.minutes(1))) struct PostgreSQLThreadTests {
    /// What is done while a thread is being started, which then fails.
    private final class FailingStart: Sendable {
        private let meanwhile = Mutex<(@Sendable () -> Void)?>(nil)

        func start() -> Bool {
            let meanwhile = self.meanwhile.withLock { $0.take() }
            meanwhile?()
            return false
        }

        func during(_ body: @escaping @Sendable () -> Void) { self.meanwhile.withLock { $0 = body } }
    }

    private final class Notes: Sendable {
        private let notes = Mutex<[String]>([])
        var all: [String] { self.notes.withLock { $0 } }
        func add(_ note: String) { self.notes.withLock { $0.append(note) } }
    }

    @Test func `whoever relied on a thread that could not be started is told so`() {
        let failing = FailingStart()
        let thread = PostgreSQLThread { _ in failing.start() }
        let notes = Notes()
        failing.during { thread.perform({ notes.add("second ran") }, orElse: { notes.add("second refused") }) }
        thread.perform({ notes.add("first ran") }, orElse: { notes.add("first refused") })
        #expect(notes.all == ["first refused", "second refused"])
        // The next one tries to start it again, and is told by itself.
        thread.perform({ notes.add("third ran") }, orElse: { notes.add("third refused") })
        #expect(notes.all.last == "third refused")
    }

    @Test func `no caller waits for ever for a thread that could not be started`() async throws {
        let failing = FailingStart()
        let configuration = try PostgreSQLConfiguration(url: "postgresql://u@127.0.0.1:1/d")
        let thread = PostgreSQLThread { _ in failing.start() }
        let client = PostgreSQLClient(configuration, thread: thread, resolver: .system)
        let error = await #expect(throws: PostgreSQLError.self) {
            try await client.transaction { try $0.execute("SELECT 1") }
        }
        #expect(error?.code == .closed)
    }

    @Test func `what is to be done when the thread is idle is done then, and not when other work comes first`() async {
        let thread = PostgreSQLThread()
        let notes = Notes()
        await withCheckedContinuation { continuation in
            thread.perform {
                thread.whenIdle(for: .milliseconds(1)) { notes.add("taken back") }
                thread.perform({ notes.add("work") }, orElse: {})
                thread.perform {
                    notes.add("more work")
                    thread.whenIdle(for: .milliseconds(50)) {
                        notes.add("idle")
                        continuation.resume()
                    }
                } orElse: {
                }
            } orElse: {
            }
        }
        #expect(notes.all == ["work", "more work", "idle"])
        // The end does not wait for it.
        await withCheckedContinuation { continuation in
            thread.perform {
                thread.whenIdle(for: .seconds(3600)) { continuation.resume() }
                thread.close()
            } orElse: {
            }
        }
    }

    @Test func `work that comes after the end is refused`() {
        let thread = PostgreSQLThread()
        thread.close()
        let notes = Notes()
        thread.perform({ notes.add("ran") }, orElse: { notes.add("refused") })
        #expect(notes.all == ["refused"])
    }
}
