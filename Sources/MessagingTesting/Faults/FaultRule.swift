/// A fault, the messages that it is about, and how many of them came so far.
struct FaultRule: Sendable {
    let fault: Fault
    let occurrence: Fault.Occurrence
    let isMeant: @Sendable (SentMessage) -> Bool
    private var seen = 0
    private var generator: SplitMix64

    init(
        _ fault: Fault,
        _ occurrence: Fault.Occurrence,
        seed: UInt64,
        isMeant: @escaping @Sendable (SentMessage) -> Bool
    ) {
        self.fault = fault
        self.occurrence = occurrence
        self.isMeant = isMeant
        self.generator = SplitMix64(state: seed)
    }

    /// Whether the message is hit.
    mutating func hits(_ message: SentMessage) -> Bool {
        guard self.isMeant(message) else { return false }
        self.seen += 1
        switch self.occurrence.kind {
        case .always: return true
        case .first(let count): return self.seen <= count
        case .nth(let number): return self.seen == number
        case .every(let count): return self.seen.isMultiple(of: count)
        case .probability(let probability): return Double.random(in: 0..<1, using: &self.generator) < probability
        }
    }
}
