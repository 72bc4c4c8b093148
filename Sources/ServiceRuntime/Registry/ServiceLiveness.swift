/// Whether a service lives, as far as a reader can tell.
public struct ServiceLiveness: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: String {
        case up, down, unknown
    }
    private let kind: Kind

    /// Its reports were seen to go on within the time.
    public static let up = ServiceLiveness(kind: .up)
    /// It was watched for the time, and has not reported.
    public static let down = ServiceLiveness(kind: .down)
    /// It has not been watched for long enough.
    public static let unknown = ServiceLiveness(kind: .unknown)

    /// The name.
    public var description: String { self.kind.rawValue }
}

/// Judges which services live: by whether their counts of reports change while the reader looks on.
///
/// Only the reader's monotonic clock counts, and only the time in which it could look: while the database is away nobody
/// can report, so that this time makes nobody look dead. A reader that has just started knows of nobody, and says
/// ``ServiceLiveness/unknown`` until it has seen a report, or has looked for the whole time.
public struct ServiceLivenessTable: Sendable {
    private struct Sighting {
        var count: Int64
        var incarnation: String
        var at: Duration
        var hasReported: Bool
    }

    /// After how long without a report a service is down.
    public var downTime: Duration
    /// The longest time between two looks of which all counts as looked at.
    private let longestGap: Duration
    private var sightings: [ServiceKey: Sighting] = [:]
    private var hasLooked = false
    private var lastLook = Duration.zero
    /// How long the reader has looked so far.
    private var watched = Duration.zero

    /// Creates a table in which nobody is known.
    ///
    /// - Parameters:
    ///   - downTime: After how long without a report a service is down; longer than the interval of the reports.
    ///   - interval: How often is looked.
    public init(downTime: Duration, lookingEvery interval: Duration) {
        self.downTime = downTime
        self.longestGap = interval * 2
    }

    /// Takes in what the registry says.
    ///
    /// - Parameters:
    ///   - records: All of its rows.
    ///   - now: The time on the reader's monotonic clock, from any origin.
    public mutating func look(at records: [ServiceRecord], now: Duration) {
        if self.hasLooked { self.watched += min(max(.zero, now - self.lastLook), self.longestGap) }
        self.lastLook = now
        var seen: [ServiceKey: Sighting] = [:]
        for record in records {
            var sighting =
                self.sightings[record.key]
                // Who appears while somebody looks on has just reported.
                ?? Sighting(
                    count: record.reportCount,
                    incarnation: record.registration.incarnation,
                    at: self.watched,
                    hasReported: self.hasLooked
                )
            // Not "more": a row that was removed and made again begins anew.
            if sighting.count != record.reportCount || sighting.incarnation != record.registration.incarnation {
                sighting.count = record.reportCount
                sighting.incarnation = record.registration.incarnation
                sighting.at = self.watched
                sighting.hasReported = true
            }
            seen[record.key] = sighting
        }
        self.sightings = seen
        self.hasLooked = true
    }

    /// Whether a service lives, as of the last look; `unknown` for one that is not recorded.
    public func liveness(of key: ServiceKey) -> ServiceLiveness {
        guard let sighting = self.sightings[key] else { return .unknown }
        if self.watched - sighting.at > self.downTime { return .down }
        return sighting.hasReported ? .up : .unknown
    }
}
