/// Columns of text for people to read.
struct TextTable {
    /// How a column stands.
    enum Alignment {
        case left, right
    }

    private var rows: [[String]]
    private let alignments: [Alignment]

    /// Creates a table with a line of names above its columns.
    init(_ columns: [(name: String, alignment: Alignment)]) {
        self.rows = [columns.map { $0.name.uppercased() }]
        self.alignments = columns.map(\.alignment)
    }

    /// Adds a line; a cell without a value is a dash.
    mutating func add(_ cells: [String?]) {
        self.rows.append(cells.map { ($0 ?? "-").printable })
    }

    /// The lines, without white space at their ends.
    var text: String {
        let widths = self.alignments.indices.map { column in self.rows.map { $0[column].count }.max() ?? 0 }
        return self.rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                line += column == 0 ? "" : "  "
                line += self.alignments[column] == .left ? cell + padding : padding + cell
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}

/// A name and a value on each line, the values below one another.
func listing(_ pairs: [(String, String?)]) -> String {
    let width = pairs.map(\.0.count).max() ?? 0
    return pairs.compactMap { name, value in
        value.map { name + String(repeating: " ", count: width + 2 - name.count) + $0.printable }
    }.joined(separator: "\n")
}

extension String {
    /// The text without what a terminal would take for commands: it may come from anybody.
    var printable: String { self.withoutControls(except: []) }

    /// The same for a text of several lines, which keeps their ends, and tabs.
    var printableLines: String { self.withoutControls(except: ["\n", "\t"]) }

    private func withoutControls(except kept: [Unicode.Scalar]) -> String {
        func isCommand(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.generalCategory == .control && !kept.contains(scalar)
        }
        guard self.unicodeScalars.contains(where: isCommand) else { return self }
        return String(String.UnicodeScalarView(self.unicodeScalars.map { isCommand($0) ? "?" : $0 }))
    }
}

extension Double {
    /// The seconds as people say them: `850 µs`, `1.2 ms`, `3.4 s`, `2 min 3 s`, `5 h 10 min`, `3 d 4 h`.
    var asDuration: String {
        guard self.isFinite, self >= 0, self < 1e11 else { return "?" }
        for (limit, unit, name) in [(999.5e-6, 1e-6, "µs"), (999.5e-3, 1e-3, "ms"), (59.95, 1, "s")] where self < limit
        {
            let value = self / unit
            let tenths = (value * 10).rounded() / 10
            return "\(value < 100 && tenths != tenths.rounded() ? "\(tenths)" : "\(Int(value.rounded()))") \(name)"
        }
        let seconds = Int(self.rounded())
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400)
        if hours == 0 { return "\(minutes) min \(seconds % 60) s" }
        return days == 0 ? "\(hours) h \(minutes % 60) min" : "\(days) d \(hours % 24) h"
    }
}
