/// What a server has done so far, for metrics.
package struct RPCServerFigures: Sendable {
    /// One method; without a name, all requests for none that is served.
    package struct Method: Sendable {
        package let name: String
        package let namespace: String?
        package let running: Int
        /// How many requests ended how.
        package let outcomes: [(name: String, count: Int)]
        /// How many were not run, by the kind of refusal.
        package let refusals: [String: Int]
        /// How many that are done at least once were sent on for another attempt, and how many of those because a worker
        /// was lost with them.
        package let retries: Int
        package let redeliveries: Int
        /// How many were given up and put among the dead letters, by the reason.
        package let deadLetters: [String: Int]
        package let queueWait: Distribution
        package let runTime: Distribution
    }

    /// Durations, counted below a few bounds.
    package struct Distribution: Sendable {
        /// From what is nothing to what nobody waits for, three or so to each power of ten.
        package static let bounds: [Duration] = [
            .microseconds(100), .microseconds(250), .milliseconds(1), .microseconds(2500), .milliseconds(5),
            .milliseconds(10), .milliseconds(25), .milliseconds(50), .milliseconds(100), .milliseconds(250),
            .milliseconds(500), .seconds(1), .milliseconds(2500), .seconds(5), .seconds(10), .seconds(30), .seconds(60),
        ]

        /// How many do not exceed each of ``bounds``.
        package let counts: [UInt64]
        package let count: UInt64
        package let totalSeconds: Double

        package init(_ histogram: LatencyHistogram) {
            self.counts = histogram.counts(upTo: Self.bounds)
            self.count = histogram.count
            self.totalSeconds = histogram.totalSeconds
        }
    }

    package let methods: [Method]
    package let running: Int
    package let concurrency: Int
    package let waiting: Int
}

extension RPCServer {
    /// What the server has done so far.
    package var figures: RPCServerFigures {
        RPCServerFigures(
            methods: self.statistics.figures(),
            running: self.intake.running,
            concurrency: self.configuration.concurrency,
            waiting: self.intake.waiting
        )
    }
}
