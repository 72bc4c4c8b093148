extension AMQPConfiguration {
    /// Pauses between attempts: growing, capped, and spread at random, so that many clients of one broker do not come
    /// back in step ("full jitter").
    ///
    /// They start anew after a success that lasted.
    public struct Backoff: Sendable, Hashable {
        /// The longest first pause; 200 milliseconds by default.
        public var initial: Duration
        /// The longest pause of all; 3 seconds by default.
        public var maximum: Duration
        /// The factor from one pause to the next; 2 by default.
        public var multiplier: Double
        /// What is added from one pause to the next, after the multiplication; nothing by default.
        public var increment: Duration

        /// Describes the pauses.
        public init(
            initial: Duration = .milliseconds(200),
            maximum: Duration = .seconds(3),
            multiplier: Double = 2,
            increment: Duration = .zero
        ) {
            self.initial = initial
            self.maximum = maximum
            self.multiplier = multiplier
            self.increment = increment
        }

        /// The upper limit of the pause before the given attempt, counted from 0.
        public func limit(attempt: Int) -> Duration {
            var limit = min(self.initial, self.maximum)
            // A thousand steps reach every sensible maximum; the bound keeps the loop short for any count.
            for _ in 0..<min(max(attempt, 0), 1_000) {
                let next = limit * max(self.multiplier, 1) + max(self.increment, .zero)
                guard next > limit, limit < self.maximum else { break }
                limit = min(next, self.maximum)
            }
            return max(limit, .zero)
        }

        /// The pause before the given attempt: anything up to the limit, at least a tenth of it so that a fault never
        /// becomes a tight loop.
        public func delay(attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
            self.limit(attempt: attempt) * Double.random(in: 0.1...1, using: &generator)
        }
    }
}
