internal import Messaging

/// A text in Prometheus' exposition format 0.0.4.
struct PrometheusText {
    /// What a family of samples is.
    enum Kind: String {
        case counter, gauge, histogram
    }

    /// A label's name, which is ours, and its value, which is anybody's.
    typealias Label = (name: String, value: String)

    private(set) var text = ""

    /// Begins a family; its samples are to follow at once.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// A number that need not be finite.
    static func number(_ value: Double) -> String {
        if value.isNaN { "NaN" } else if value.isInfinite { value > 0 ? "+Inf" : "-Inf" } else { "\(value)" }
    }

    /// Adds a sample.
    mutating func sample(_ name: String, _ labels: [Label], _ value: some CustomStringConvertible) {
        self.text += name
        if !labels.isEmpty {
            self.text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",") + "}"
        }
        self.text += " \(value)\n"
    }

    /// Adds the samples of a histogram of durations; none, where nothing was counted: they are many lines.
    mutating func histogram(_ name: String, _ labels: [Label], _ values: RPCServerFigures.Distribution) {
        guard values.count > 0 else { return }
        self.histogram(
            name,
            labels,
            bounds: RPCServerFigures.Distribution.bounds.map(\.seconds),
            counts: values.counts,
            count: values.count,
            sum: values.totalSeconds
        )
    }

    /// Adds the samples of a histogram.
    mutating func histogram(
        _ name: String,
        _ labels: [Label],
        bounds: [Double],
        counts: [UInt64],
        count: UInt64,
        sum: Double
    ) {
        for (bound, below) in zip(bounds, counts) {
            self.sample("\(name)_bucket", labels + [("le", Self.number(bound))], below)
        }
        self.sample("\(name)_bucket", labels + [("le", "+Inf")], count)
        self.sample("\(name)_sum", labels, Self.number(sum))
        self.sample("\(name)_count", labels, count)
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
