internal import Logging

/// What is said about configurations while a program runs, each thing once.
struct ConfigurationNotices: Sendable {
    private var warned: Set<ConfigurationProblem> = []
    private var waiting: [ServiceOptionChange] = []

    /// How many foreign options are named; a file of OpenStack's has dozens.
    private static let mostNames = 200

    /// Warns of what has not been warned of before: each problem for itself, but options that are somebody else's together.
    mutating func log(_ problems: [ConfigurationProblem], to logger: Logger) {
        let new = problems.filter { !self.warned.contains($0) }
        self.warned.formUnion(new)
        let foreign = new.filter { $0.kind == .unknown && $0.suggestion == nil }
        for problem in new where problem.kind != .unknown || problem.suggestion != nil {
            logger.warning("configuration is doubtful", metadata: ["problem": "\(problem)"])
        }
        guard !foreign.isEmpty else { return }
        let names = foreign.prefix(Self.mostNames).map(\.description).joined(separator: "; ")
        let rest = foreign.count > Self.mostNames ? "; and more" : ""
        logger.warning(
            "configuration has options that are not known and have no effect",
            metadata: ["count": "\(foreign.count)", "options": "\(names)\(rest)"]
        )
    }

    /// Warns of changes that wait for a restart; again only when they are others than before.
    mutating func log(waiting changes: [ServiceOptionChange], to logger: Logger) {
        defer { self.waiting = changes }
        guard !changes.isEmpty, changes != self.waiting else { return }
        logger.warning("configuration has changes that need a restart", metadata: ["changes": "\(changes)"])
    }
}
