/// What somebody may have meant.
enum Spelling {
    /// The name that differs least from another, if it differs by little: one letter in four, two at most.
    static func nearest(to name: String, among names: [String]) -> String? {
        let limit = min(2, name.utf8.count / 4)
        guard name.utf8.count <= 100, limit > 0 else { return nil }
        let distances = names.map { (distance: self.distance(Array(name.utf8), Array($0.utf8)), name: $0) }
        return distances.filter { $0.distance <= limit }.min { $0 < $1 }?.name
    }

    /// How many letters have to be added, removed, replaced or swapped with their neighbours.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        guard !one.isEmpty, !other.isEmpty, abs(one.count - other.count) <= 2 else { return .max }
        var before: [Int] = []
        var last = Array(0...other.count)
        for (row, byte) in one.enumerated() {
            var next = [row + 1]
            for (column, letter) in other.enumerated() {
                var cost = min(last[column + 1] + 1, next[column] + 1, last[column] + (byte == letter ? 0 : 1))
                if row > 0, column > 0, byte == other[column - 1], one[row - 1] == letter {
                    cost = min(cost, before[column - 1] + 1)
                }
                next.append(cost)
            }
            (before, last) = (last, next)
        }
        return last[other.count]
    }
}
