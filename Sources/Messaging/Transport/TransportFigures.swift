/// What a transport has done so far, for metrics.
public struct TransportFigures: Sendable {
    /// One connection to the broker, over all its lives.
    public struct Connection: Sendable {
        /// What it is for.
        public var name: String
        /// What it does at present.
        public var state: State
        /// How often it was made, the first time included.
        public var connects = 0
        /// How many rounds over the broker's addresses found none that would have it.
        public var failedConnects = 0
        /// Messages that were written to it.
        public var published = 0
        /// Those that the broker confirmed; one that it returned is among them.
        public var confirmed = 0
        /// Those that the broker refused.
        public var refused = 0
        /// Those that came back because no queue took them.
        public var returned = 0
        /// Messages that arrived over it.
        public var delivered = 0
        /// Those that had been handed out before.
        public var redelivered = 0
        /// How often the broker stopped its messages, for want of memory or disk.
        public var blocks = 0

        /// How often it was made anew.
        public var reconnects: Int { max(self.connects - 1, 0) }

        /// Creates figures of a connection that has done nothing.
        ///
        /// - Parameters:
        ///   - name: What it is for.
        ///   - state: What it does at present.
        public init(name: String, state: State) {
            self.name = name
            self.state = state
        }
    }

    /// What a connection does at present.
    public struct State: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String, CaseIterable { case idle, connecting, open, blocked, recovering, closed }
        private let kind: Kind

        /// It was not needed yet.
        public static let idle = State(kind: .idle)
        /// It is being made for the first time.
        public static let connecting = State(kind: .connecting)
        /// It works.
        public static let open = State(kind: .open)
        /// The broker takes no messages.
        public static let blocked = State(kind: .blocked)
        /// It is being made anew, or what was declared on it is.
        public static let recovering = State(kind: .recovering)
        /// It was closed.
        public static let closed = State(kind: .closed)

        /// All states that there are.
        package static var all: [State] { Kind.allCases.map { State(kind: $0) } }

        /// The state in one word.
        public var description: String { self.kind.rawValue }
    }

    /// The connections; none, where a transport has none.
    public var connections: [Connection]

    /// Creates figures.
    ///
    /// - Parameter connections: The connections; none by default.
    public init(connections: [Connection] = []) {
        self.connections = connections
    }
}
