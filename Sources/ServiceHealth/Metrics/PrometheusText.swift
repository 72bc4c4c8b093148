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

    /// Adds a sample.
    mutating func sample(_ name: String, _ labels: [Label], _ value: some CustomStringConvertible) {
        self.text += name
        if !labels.isEmpty {
            self.text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",") + "}"
        }
        self.text += " \(value)\n"
    }

    /// Adds the samples of a histogram.
    mutating func histogram(
        _ name: String,
        _ labels: [Label],
        bounds: [Duration],
        counts: [UInt64],
        count: UInt64,
        sum: Double
    ) {
        for (bound, below) in zip(bounds, counts) {
            self.sample("\(name)_bucket", labels + [("le", "\(bound.seconds)")], below)
        }
        self.sample("\(name)_bucket", labels + [("le", "+Inf")], count)
        self.sample("\(name)_sum", labels, sum)
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
