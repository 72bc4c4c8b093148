import CoreMetrics
import InMemoryLogging
import Logging
import Messaging
import Testing

@testable import ServiceHealth

/// What a program counts with the API of swift-metrics.
@Suite struct PrometheusMetricsTests {
    private static func read(_ metrics: PrometheusMetrics) throws -> ExpositionFormat {
        var text = PrometheusText()
        metrics.add(to: &text)
        return try ExpositionFormat(text.text)
    }

    private static func family(_ name: String, _ metrics: PrometheusMetrics) throws -> ExpositionFormat.Family? {
        try self.read(metrics).families.first { $0.name == name }
    }

    @Test func `each kind of metric becomes one of Prometheus`() throws {
        let metrics = PrometheusMetrics()
        let counter = Counter(label: "volumes.made", dimensions: [("backend", "lvm")], factory: metrics)
        counter.increment()
        counter.increment(by: 4)
        counter.increment(by: -3)
        FloatingPointCounter(label: "gigabytes", factory: metrics).increment(by: 1.5)
        FloatingPointCounter(label: "gigabytes", factory: metrics).increment(by: 2)
        Gauge(label: "free-space", factory: metrics).record(7.25)
        let meter = Meter(label: "queue depth", factory: metrics)
        meter.set(10)
        meter.decrement(by: 4)
        let recorder = Recorder(label: "size", factory: metrics)
        for size in [0, 1, 2, 10, 5_000, 1_000_000_000_000] { recorder.record(size) }
        let timer = CoreMetrics.Timer(label: "copy", factory: metrics)
        timer.recordMilliseconds(30)
        timer.recordSeconds(100)
        let text = try Self.read(metrics)
        #expect(
            text.families.map(\.name).dropFirst(2) == [
                "copy_seconds", "free_space", "gigabytes_total", "queue_depth", "size", "volumes_made_total",
            ]
        )
        #expect(
            text.families.map(\.kind).dropFirst(2) == [
                "histogram", "gauge", "counter", "gauge", "histogram", "counter",
            ]
        )
        #expect(text.values("volumes_made_total", ["backend": "lvm"]) == [5])
        #expect(text.values("gigabytes_total") == [3.5])
        #expect(text.values("free_space") == [7.25])
        #expect(text.values("queue_depth") == [6])
        #expect(text.values("size_bucket", ["le": "1.0"]) == [2])
        #expect(text.values("size_bucket", ["le": "10.0"]) == [4])
        #expect(text.values("size_bucket", ["le": "1000000000.0"]) == [5])
        #expect(text.values("size_count") == [6])
        #expect(text.values("copy_seconds_bucket", ["le": "0.05"]) == [1])
        #expect(text.values("copy_seconds_count") == [2])
        #expect(text.values("copy_seconds_sum") == [100.03])
        #expect(text.value("steward_metrics_series") == 6)
        #expect(text.value("steward_metrics_refused_total") == 0)
    }

    @Test func `names and labels are made valid, and their values escaped`() throws {
        let metrics = PrometheusMetrics()
        let labels = ["9 lives", "größe", "", "a:b", "x{y=\"z\"} 1", "line\nbreak"]
        for label in labels { Gauge(label: label, factory: metrics).record(1) }
        Counter(
            label: "c",
            dimensions: [("le", "a\"b\\c\nd"), ("__name__", "n"), ("0-é", "v"), ("x.y", "1"), ("x-y", "2")],
            factory: metrics
        ).increment()
        let text = try Self.read(metrics)
        let names = Set(text.families.map(\.name))
        #expect(names.isSuperset(of: ["_9_lives", "gr__e", "_", "a_b", "x_y__z___1", "line_break"]), "\(names)")
        #expect(
            text.families.first { $0.name == "c_total" }?.samples.first?.labels == [
                "label_le": "a\"b\\c\nd", "label___name__": "n", "_0__": "v", "x_y": "1",
            ]
        )
    }

    @Test func `numbers that are none, too large or below zero do no harm`() throws {
        let metrics = PrometheusMetrics()
        let counter = Counter(label: "c", factory: metrics)
        counter.increment(by: Int64.max)
        counter.increment(by: Int64.max)
        let fraction = FloatingPointCounter(label: "f", factory: metrics)
        for amount in [-1.0, .nan, .infinity, 2] { fraction.increment(by: amount) }
        let gauge = Gauge(label: "g", factory: metrics)
        gauge.record(Double.nan)
        Gauge(label: "h", factory: metrics).record(-Double.infinity)
        let recorder = Recorder(label: "r", factory: metrics)
        for value in [-5, .nan, 3.0] { recorder.record(value) }
        let timer = CoreMetrics.Timer(label: "t", factory: metrics)
        timer.recordNanoseconds(-1)
        timer.recordNanoseconds(Int64.max)
        timer.recordSeconds(Int64.max)
        let text = try Self.read(metrics)
        #expect(text.values("c_total") == [Double(Int64.max)])
        #expect(text.values("f_total") == [2])
        #expect(text.values("g").first?.isNaN == true)
        #expect(text.values("h") == [-.infinity])
        #expect(text.values("r_count") == [2])
        #expect(text.values("r_sum") == [-2])
        #expect(text.values("t_seconds_count") == [3])
        counter.reset()
        #expect(try Self.read(metrics).values("c_total") == [0])
    }

    @Test func `too many series, a taken name and one of the library's are counted nowhere, and said once each`() throws
    {
        let logs = InMemoryLogHandler()
        let metrics = PrometheusMetrics(limit: 3, logger: Logger(label: "metrics") { _ in logs })
        for _ in 0..<2 {
            Counter(label: "a", factory: metrics).increment()
            // Not twice the same name, nor what is a part of another's.
            Gauge(label: "a_total", factory: metrics).record(1)
            CoreMetrics.Timer(label: "b", factory: metrics).recordSeconds(1)
            Gauge(label: "b_seconds_count", factory: metrics).record(1)
            FloatingPointCounter(label: "a", factory: metrics).increment(by: 1)
            Counter(label: "steward_requests", factory: metrics).increment()
        }
        for number in 0..<1000 {
            Counter(label: "a", dimensions: [("id", "\(number)")], factory: metrics).increment()
        }
        let text = try Self.read(metrics)
        #expect(text.families.map(\.name).dropFirst(2) == ["a_total", "b_seconds"])
        #expect(text.values("a_total") == [2, 1])
        #expect(text.value("steward_metrics_series") == 3)
        #expect(text.value("steward_metrics_refused_total") == 8 + 999)
        #expect(
            logs.entries.map { "\($0.metadata["reason"] ?? "")" } == [
                "the name is that of another metric", "names that begin with steward_ are the library's own",
                "there are too many series",
            ]
        )
        #expect(logs.entries.allSatisfy { $0.level == .warning })
    }

    @Test func `what is destroyed leaves, and makes room for others`() throws {
        let metrics = PrometheusMetrics(limit: 2)
        let one = Counter(label: "c", dimensions: [("id", "1")], factory: metrics)
        let two = Counter(label: "c", dimensions: [("id", "2")], factory: metrics)
        one.increment()
        two.increment()
        one.destroy()
        #expect(try Self.family("c_total", metrics)?.samples.map(\.labels) == [["id": "2"]])
        two.destroy()
        #expect(try Self.family("c_total", metrics) == nil)
        // The name is free for something else.
        Gauge(label: "c_total", factory: metrics).record(3)
        #expect(try Self.read(metrics).values("c_total") == [3])
        // What counts on without being told does no harm.
        one.increment()
        one.destroy()
        #expect(try Self.read(metrics).value("steward_metrics_series") == 1)
    }

    @Test func `many may count at once`() async throws {
        let metrics = PrometheusMetrics()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for number in 0..<1000 {
                        Counter(label: "c", dimensions: [("n", "\(number % 10)")], factory: metrics).increment()
                        CoreMetrics.Timer(label: "t", factory: metrics).recordMilliseconds(task)
                    }
                }
            }
        }
        let text = try Self.read(metrics)
        #expect(text.values("c_total") == Array(repeating: 800, count: 10))
        #expect(text.values("t_seconds_count") == [8000])
    }

    @Test(arguments: [
        "a 1", "# TYPE a gauge\na 1\n", "# HELP a x\n# TYPE a gauge\nb 1\n", "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a x\n# TYPE a gauge\n# HELP a x\n# TYPE a gauge\n", "# HELP a x\n# TYPE a gauge\na nan\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n", "# HELP a x\n# TYPE a gauge\na{b=\"\\t\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na{0b=\"c\"} 1\n", "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
    ])
    func `the reader of these tests is strict`(text: String) {
        #expect(throws: ExpositionFormat.Violation.self) { try ExpositionFormat(text) }
    }
}
