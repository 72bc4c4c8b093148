internal import Synchronization

/// What a connection has done so far, over all its lives.
package struct AMQPConnectionFigures: Sendable {
    /// How often it was made, the first time included.
    package let connects: Int
    /// How many rounds over the hosts found none that would have it.
    package let failedRounds: Int
    /// Messages that were written.
    package let published: Int
    /// Those of them that the broker confirmed, and those that it refused.
    package let confirmed: Int
    package let refused: Int
    /// Those that came back because no queue took them.
    package let returned: Int
    /// Messages that arrived, and those of them that had been handed out before.
    package let delivered: Int
    package let redelivered: Int
    /// How often the broker stopped the connection's messages.
    package let blocks: Int
}

/// Counts what a connection does: written by the connection's thread alone, and read by any.
final class FigureCounters: Sendable {
    let connects = Counter()
    let failedRounds = Counter()
    let published = Counter()
    let confirmed = Counter()
    let refused = Counter()
    let returned = Counter()
    let delivered = Counter()
    let redelivered = Counter()
    let blocks = Counter()

    /// A number with one writer, which needs no more than to load and to store it.
    struct Counter: ~Copyable, Sendable {
        private let value = Atomic(0)

        var current: Int { self.value.load(ordering: .relaxed) }

        borrowing func count() {
            self.value.store(self.value.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        }
    }

    var figures: AMQPConnectionFigures {
        AMQPConnectionFigures(
            connects: self.connects.current,
            failedRounds: self.failedRounds.current,
            published: self.published.current,
            confirmed: self.confirmed.current,
            refused: self.refused.current,
            returned: self.returned.current,
            delivered: self.delivered.current,
            redelivered: self.redelivered.current,
            blocks: self.blocks.current
        )
    }
}

extension AMQPConnection {
    /// What the connection has done so far; answered at once, whatever its thread does.
    package nonisolated var figures: AMQPConnectionFigures { self.counters.figures }
}
