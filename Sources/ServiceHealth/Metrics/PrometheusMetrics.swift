public import CoreMetrics
public import Logging
internal import Messaging
internal import Synchronization

/// What a program counts with the API of swift-metrics, for `/metrics`.
///
/// ```swift
/// MetricsSystem.bootstrap(health.metrics)
/// let made = Counter(label: "volumes.made", dimensions: [("backend", "lvm")])
/// made.increment()  // volumes_made_total{backend="lvm"} 1
/// ```
///
/// | Made | Becomes |
/// | --- | --- |
/// | `Counter`, `FloatingPointCounter` | A counter; its name ends in `_total`. |
/// | `Gauge`, `Meter`, `Recorder(aggregate: false)` | A gauge. |
/// | `Timer` | A histogram of seconds; its name ends in `_seconds`. |
/// | `Recorder` | A histogram over powers of ten. |
///
/// What Prometheus does not allow in a name becomes an underscore. Nothing here traps: what cannot be told (too many
/// series, a name that stands for something else, one of the library's own names, which begin with `steward_`) is counted
/// nowhere, and a line in the log says so, once for each reason. The same label with the same dimensions is the same
/// series, however often it is made.
public final class PrometheusMetrics: MetricsFactory {
    /// Why something is not told.
    enum Refusal: String {
        case tooMany = "there are too many series"
        case reserved = "names that begin with steward_ are the library's own"
        case taken = "the name is that of another metric"
    }

    /// A name, and all that is counted under it.
    private struct Family {
        let kind: PrometheusText.Kind
        /// What the program called it.
        let label: String
        var series: [Labels: any MetricSeries] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        /// Whose samples have a name.
        var owners: [String: String] = [:]
        var count = 0
        var refused = 0
        var told: Set<Refusal> = []
    }

    private let limit: Int
    private let logger: Logger
    private let state = Mutex(State())

    /// Creates a factory that has made nothing.
    ///
    /// - Parameters:
    ///   - limit: How many series there may be: combinations of a label and its dimensions; 1000 by default.
    ///   - logger: Where it is said what cannot be told.
    public init(limit: Int = 1000, logger: Logger = Logger(label: "steward.metrics")) {
        self.limit = limit
        self.logger = logger
    }

    // MARK: Making

    /// Makes a counter; see `MetricsFactory`.
    ///
    /// - Parameters:
    ///   - label: Its name.
    ///   - dimensions: What tells it from others of the name.
    /// - Returns: What counts.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.series(Self.name(label, ending: "_total"), .counter, label, dimensions, CounterSeries.init)
            ?? NOOPMetricsHandler.instance
    }

    /// Makes a counter of numbers with a fraction; see `MetricsFactory`.
    ///
    /// - Parameters:
    ///   - label: Its name.
    ///   - dimensions: What tells it from others of the name.
    /// - Returns: What counts.
    public func makeFloatingPointCounter(
        label: String,
        dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        self.series(Self.name(label, ending: "_total"), .counter, label, dimensions, FloatingPointCounterSeries.init)
            ?? NOOPMetricsHandler.instance
    }

    /// Makes a meter; see `MetricsFactory`.
    ///
    /// - Parameters:
    ///   - label: Its name.
    ///   - dimensions: What tells it from others of the name.
    /// - Returns: What is set.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.series(Self.name(label), .gauge, label, dimensions, GaugeSeries.init) ?? NOOPMetricsHandler.instance
    }

    /// Makes a recorder, or a gauge where nothing is to be aggregated; see `MetricsFactory`.
    ///
    /// - Parameters:
    ///   - label: Its name.
    ///   - dimensions: What tells it from others of the name.
    ///   - aggregate: Whether all values count, or the last.
    /// - Returns: What records.
    public func makeRecorder(
        label: String,
        dimensions: [(String, String)],
        aggregate: Bool
    ) -> any RecorderHandler {
        let name = Self.name(label)
        guard aggregate else {
            return self.series(name, .gauge, label, dimensions, GaugeSeries.init) ?? NOOPMetricsHandler.instance
        }
        return self.series(name, .histogram, label, dimensions, RecorderSeries.init) ?? NOOPMetricsHandler.instance
    }

    /// Makes a timer; see `MetricsFactory`.
    ///
    /// - Parameters:
    ///   - label: Its name.
    ///   - dimensions: What tells it from others of the name.
    /// - Returns: What records durations.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.series(Self.name(label, ending: "_seconds"), .histogram, label, dimensions, TimerSeries.init)
            ?? NOOPMetricsHandler.instance
    }

    private func series<Series: MetricSeries>(
        _ name: String,
        _ kind: PrometheusText.Kind,
        _ label: String,
        _ dimensions: [(String, String)],
        _ make: () -> Series
    ) -> Series? {
        let labels = Labels(dimensions)
        let (series, refusal) = self.state.withLock { state -> (Series?, Refusal?) in
            do throws(RefusedSeries) {
                return (try self.series(name, kind, label, labels, in: &state, make), nil)
            } catch {
                state.refused += 1
                return (nil, state.told.insert(error.reason).inserted ? error.reason : nil)
            }
        }
        if let refusal {
            self.logger.warning(
                "a metric is counted nowhere",
                metadata: ["metric": "\(label)", "reason": "\(refusal.rawValue)"]
            )
        }
        return series
    }

    private struct RefusedSeries: Error {
        let reason: Refusal
    }

    private func series<Series: MetricSeries>(
        _ name: String,
        _ kind: PrometheusText.Kind,
        _ label: String,
        _ labels: Labels,
        in state: inout State,
        _ make: () -> Series
    ) throws(RefusedSeries) -> Series {
        guard !name.hasPrefix("steward_") else { throw RefusedSeries(reason: .reserved) }
        if let family = state.families[name] {
            guard family.kind == kind else { throw RefusedSeries(reason: .taken) }
            if let existing = family.series[labels] {
                guard let series = existing as? Series else { throw RefusedSeries(reason: .taken) }
                return series
            }
        }
        let names = kind.sampleNames(of: name)
        guard names.allSatisfy({ state.owners[$0, default: name] == name }) else {
            throw RefusedSeries(reason: .taken)
        }
        guard state.count < self.limit else { throw RefusedSeries(reason: .tooMany) }
        let series = make()
        for sample in names { state.owners[sample] = name }
        state.families[name, default: Family(kind: kind, label: label)].series[labels] = series
        state.count += 1
        return series
    }

    // MARK: Ending

    /// Forgets a counter; see `MetricsFactory`.
    public func destroyCounter(_ handler: any CounterHandler) { self.forget(handler) }

    /// Forgets a counter of numbers with a fraction; see `MetricsFactory`.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { self.forget(handler) }

    /// Forgets a meter; see `MetricsFactory`.
    public func destroyMeter(_ handler: any MeterHandler) { self.forget(handler) }

    /// Forgets a recorder; see `MetricsFactory`.
    public func destroyRecorder(_ handler: any RecorderHandler) { self.forget(handler) }

    /// Forgets a timer; see `MetricsFactory`.
    public func destroyTimer(_ handler: any TimerHandler) { self.forget(handler) }

    private func forget(_ handler: AnyObject) {
        self.state.withLock { state in
            for (name, family) in state.families {
                guard let labels = family.series.first(where: { $0.value === handler })?.key else { continue }
                state.families[name]?.series[labels] = nil
                state.count -= 1
                if family.series.count == 1 {
                    state.families[name] = nil
                    state.owners = state.owners.filter { $0.value != name }
                }
                return
            }
        }
    }

    // MARK: Telling

    /// Adds all that was counted.
    func add(to text: inout PrometheusText) {
        let state = self.state.withLock { $0 }
        text.family("steward_metrics_series", .gauge, "Series that the program counts itself.")
        text.sample("steward_metrics_series", [], state.count)
        text.family("steward_metrics_refused_total", .counter, "Metrics that were made and are counted nowhere.")
        text.sample("steward_metrics_refused_total", [], state.refused)
        for (name, family) in state.families.sorted(by: { $0.key < $1.key }) {
            text.family(name, family.kind, PrometheusText.help(family.label.isEmpty ? name : family.label))
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.add(to: &text, name, labels.pairs)
            }
        }
    }

    /// A name that Prometheus allows.
    private static func name(_ label: String, ending: String = "") -> String {
        let name = PrometheusText.name(label)
        return name.hasSuffix(ending) ? name : name + ending
    }
}

extension PrometheusText.Kind {
    /// The names that samples of a family have.
    fileprivate func sampleNames(of name: String) -> [String] {
        self == .histogram ? [name, name + "_bucket", name + "_sum", name + "_count"] : [name]
    }
}
