/// Which deliveries of a channel are not settled yet, so that acknowledgements which become due in the order of their
/// tags leave as one (`multiple`), whoever finished them.
struct AcknowledgementTracker {
    private enum Mark {
        case outstanding
        /// Acknowledged by the program, not written yet.
        case acknowledged
        /// Rejected, or never needed an acknowledgement: nothing is left to be done.
        case settled
    }

    private struct Entry {
        let tag: UInt64
        var mark: Mark
    }

    private var entries: [Entry] = []
    private var head = 0
    private var pending: [UInt64] = []
    /// At how many entries those that are settled are taken out from between the others.
    private var nextSweep = Self.smallestSweep
    private static let smallestSweep = 4_096

    /// How many entries it has, settled ones among them.
    var size: Int { self.entries.count }

    /// Deliveries that nobody has settled.
    var outstanding: Int { self.entries[self.head...].count { $0.mark == .outstanding } }

    mutating func delivered(_ tag: UInt64, needsAcknowledgement: Bool) throws(AMQPError) {
        if let last = self.entries.last, tag <= last.tag {
            throw FrameReader.violation("the delivery tag \(tag) follows \(last.tag)")
        }
        self.entries.append(Entry(tag: tag, mark: needsAcknowledgement ? .outstanding : .settled))
        if !needsAcknowledgement {
            self.trim()
        }
    }

    /// Marks one delivery; false when there is nothing to acknowledge under this tag (any more).
    mutating func acknowledge(_ tag: UInt64) -> Bool {
        guard let index = self.index(of: tag) else { return false }
        self.entries[index].mark = .acknowledged
        self.pending.append(tag)
        return true
    }

    /// Marks every delivery up to this tag; false when there was none.
    mutating func acknowledge(upTo tag: UInt64) -> Bool {
        var found = false
        for index in self.head..<self.entries.count {
            guard self.entries[index].tag <= tag else { break }
            if self.entries[index].mark == .outstanding {
                self.entries[index].mark = .acknowledged
                self.pending.append(self.entries[index].tag)
                found = true
            }
        }
        return found
    }

    /// Takes one delivery out because it is rejected; false when there is none.
    mutating func settle(_ tag: UInt64) -> Bool {
        guard let index = self.index(of: tag) else { return false }
        self.entries[index].mark = .settled
        self.trim()
        return true
    }

    /// Takes every delivery up to this tag out; false when there was none.
    mutating func settle(upTo tag: UInt64) -> Bool {
        var found = false
        for index in self.head..<self.entries.count {
            guard self.entries[index].tag <= tag else { break }
            if self.entries[index].mark == .outstanding {
                self.entries[index].mark = .settled
                found = true
            }
        }
        self.trim()
        return found
    }

    /// What must be written now: at most one cumulative acknowledgement, and single ones for what finished early.
    mutating func take() -> [(tag: UInt64, multiple: Bool)] {
        guard !self.pending.isEmpty else { return [] }
        var cumulative: UInt64?
        var combined = 0
        while self.head < self.entries.count, self.entries[self.head].mark != .outstanding {
            if self.entries[self.head].mark == .acknowledged {
                cumulative = self.entries[self.head].tag
                combined += 1
            }
            self.head += 1
        }
        defer { self.compact() }
        var acknowledgements: [(tag: UInt64, multiple: Bool)] = []
        if let cumulative {
            acknowledgements.append((cumulative, combined > 1))
        }
        if combined < self.pending.count {
            for tag in self.pending where tag > cumulative ?? 0 {
                acknowledgements.append((tag, false))
                if let index = self.position(of: tag) {
                    self.entries[index].mark = .settled
                }
            }
        }
        self.pending.removeAll(keepingCapacity: true)
        return acknowledgements
    }

    private mutating func trim() {
        while self.head < self.entries.count, self.entries[self.head].mark == .settled {
            self.head += 1
        }
        self.compact()
    }

    private mutating func compact() {
        if self.head == self.entries.count {
            // The last tag is kept, so that a repeated one is still noticed.
            guard self.head > 1 else { return }
            self.entries.removeFirst(self.head - 1)
            self.head = 1
        } else if self.head > 512, self.head > self.entries.count / 2 {
            self.entries.removeFirst(self.head)
            self.head = 0
        } else if self.entries.count >= self.nextSweep {
            self.sweep()
        }
    }

    /// Behind a delivery that is not settled for hours all later ones would be kept.
    private mutating func sweep() {
        let last = self.entries.count - 1
        var kept: [Entry] = []
        for index in self.head...last where self.entries[index].mark != .settled || index == last {
            kept.append(self.entries[index])
        }
        self.entries = kept
        self.head = 0
        self.nextSweep = max(Self.smallestSweep, 2 * kept.count)
    }

    private func index(of tag: UInt64) -> Int? {
        guard let index = self.position(of: tag), self.entries[index].mark == .outstanding else { return nil }
        return index
    }

    /// Tags ascend; usually they ascend by one, and then no search is needed.
    private func position(of tag: UInt64) -> Int? {
        guard self.head < self.entries.count else { return nil }
        let first = self.entries[self.head].tag
        guard tag >= first else { return nil }
        var low = self.head
        var high = self.entries.count
        if tag - first < UInt64(high - low), self.entries[low + Int(tag - first)].tag == tag {
            return low + Int(tag - first)
        }
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].tag < tag {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < self.entries.count && self.entries[low].tag == tag ? low : nil
    }
}
