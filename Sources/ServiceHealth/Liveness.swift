internal import Synchronization

/// Whether the threads of a program do anything.
///
/// Each kind of thread gives a beat a second, and the watching thread counts the seconds that it has itself seen without
/// one: a process that was stopped or a machine that slept has lost no beat.
final class Liveness: Sendable {
    private let limit: Int
    private let silence: Mutex<[String: Int]>

    /// - Parameter limit: After so long without a beat a thread stands still.
    init(limit: Duration) {
        self.limit = max(1, Int(limit.components.seconds))
        self.silence = Mutex([:])
    }

    /// Somebody did something; from the first time on it is expected to go on.
    func beat(_ who: String) {
        self.silence.withLock { $0[who] = 0 }
    }

    /// Nobody expects this one any more.
    func forget(_ who: String) {
        self.silence.withLock { $0[who] = nil }
    }

    /// A second has passed.
    func tick() {
        self.silence.withLock { silence in
            for who in silence.keys { silence[who, default: 0] += 1 }
        }
    }

    /// Who stands still; nobody in a live program.
    var complaints: [String] {
        self.silence.withLock { silence in
            silence.filter { $0.value > self.limit }.sorted { $0.key < $1.key }
                .map { "\($0.key) has done nothing for \($0.value) s" }
        }
    }
}
