import Glibc
import Synchronization

/// Sees to it that no loop waits for a task that blocks its thread.
///
/// The watching thread exists while there are loops that have run tasks within the last second.
final class LoopWatch: Sendable {
    static let shared = LoopWatch()

    private struct Watched {
        let loop: AMQPEventLoop
        /// How many tasks the loop had started when it was last looked at, and whether it was running one.
        var started: UInt64 = 0
        var runsTask = false
        /// How often in a row it had started none.
        var rests = 0
        /// Whether a thread is still to be started for it.
        var isOrphan = false
    }

    private struct State {
        var arrivals: [AMQPEventLoop] = []
        var isRunning = false
    }

    /// Microseconds between two looks.
    ///
    /// A task that blocks is found out after one to two of it.
    private static let interval: UInt32 = 10_000
    /// A loop that ran no task at so many looks is let go.
    private static let patience = 100

    private let state = Mutex(State())

    /// Looks after a loop until it has rested for a while, and sets its `isWatched` to false then.
    ///
    /// - Returns: Whether it does; not where the system has no thread left.
    func watch(_ loop: AMQPEventLoop) -> Bool {
        let isFirst = self.state.withLock { state in
            state.arrivals.append(loop)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if !isFirst || PosixThread.start(name: "amqp-watch", { self.run() }) { return true }
        self.state.withLock { state in
            state.isRunning = false
            for loop in state.arrivals { loop.shared.withLock { $0.isWatched = false } }
            state.arrivals = []
        }
        return false
    }

    private func run() {
        var loops: [Watched] = []
        while true {
            let goesOn = self.state.withLock { state in
                loops += state.arrivals.map { Watched(loop: $0) }
                state.arrivals = []
                state.isRunning = !loops.isEmpty
                return state.isRunning
            }
            guard goesOn else { return }
            usleep(Self.interval)
            for index in loops.indices { Self.look(at: &loops[index]) }
            loops.removeAll { !$0.isOrphan && $0.rests > Self.patience && $0.loop.unwatch() }
        }
    }

    private static func look(at watched: inout Watched) {
        let loop = watched.loop
        if watched.isOrphan {
            // The system had no thread left; it usually has one soon again.
            watched.isOrphan = !loop.startThread()
            return
        }
        let (started, runsTask) = loop.shared.withLock { ($0.tasks.started, $0.tasks.runsOne) }
        if started != watched.started {
            watched.rests = 0
        } else if runsTask, watched.runsTask {
            watched.isOrphan = loop.relieve(started) && !loop.startThread()
        } else {
            watched.rests += 1
        }
        watched.started = started
        watched.runsTask = runsTask
    }
}
