internal import AMQPClient
internal import Messaging
internal import Synchronization

/// Where a listener is in the stream that a fanout may be (`rabbit_stream_fanout`, wire contract 1.3).
///
/// oslo attaches with the offset `last`, which means the last *chunk*: a server that starts is handed casts that were
/// published before, and that it may have run before it was restarted. A stream keeps no note of who has seen what, and
/// AMQP 0-9-1 has no way to ask where it ends. So this side attaches with `next`: nothing that was published before the
/// start is run, as with a queue of the server's own. After a reconnection it goes on at the first cast that was not
/// settled, and leaves out those after it that were.
///
/// What this cannot do: of casts that are published while the connection is lost, before any was received, none arrives;
/// and none of those that the stream lost or that were published while it was deleted.
final class StreamPosition: Sendable {
    private struct State {
        /// The highest offset that was handed up.
        var highest: UInt64?
        /// What was handed up on this connection and is not settled.
        var open: [Delivery.Token: UInt64] = [:]
        /// What was handed up on a lost connection and not settled there: it comes again.
        ///
        /// All others up to `highest` are done.
        var again: Set<UInt64> = []
    }

    private let state = Mutex(State())

    /// The arguments with which the consumer attaches now.
    var arguments: AMQPTable {
        self.state.withLock { state in
            state.again.formUnion(state.open.values)
            state.open = [:]
            guard let highest = state.highest else { return ["x-stream-offset": "next"] }
            let offset = state.again.min() ?? highest + 1
            return ["x-stream-offset": .int64(Int64(clamping: offset))]
        }
    }

    /// Takes note of a message that came; answers whether it is to be handed up.
    func arrived(_ offset: UInt64, _ token: Delivery.Token) -> Bool {
        self.state.withLock { state in
            if let highest = state.highest, offset <= highest {
                guard state.again.remove(offset) != nil else { return false }
            } else {
                state.highest = offset
            }
            state.open[token] = offset
            return true
        }
    }

    /// Takes note of messages that are acknowledged or refused.
    func settled(_ tokens: some Sequence<Delivery.Token>) {
        self.state.withLock { state in
            for token in tokens { state.open[token] = nil }
        }
    }

    /// Forgets where it was: the stream was taken away, and in a new one of its name the offsets begin anew.
    func reset() {
        self.state.withLock { $0 = State() }
    }
}
