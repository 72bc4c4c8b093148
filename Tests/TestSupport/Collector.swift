import Synchronization

/// Gathers what callbacks bring, and lets a test wait for it: for the event, not for a time.
public final class Collector<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    /// What did not come.
    public struct TimedOut: Error, CustomStringConvertible {
        /// How much there was when the time was over.
        public let description: String
    }

    /// Begins empty.
    public init() {}

    /// What came so far.
    public var all: [Element] { self.elements.withLock { $0 } }

    /// Adds one.
    public func add(_ element: Element) {
        self.elements.withLock { $0.append(element) }
    }

    /// Adds several.
    public func add(_ elements: [Element]) {
        self.elements.withLock { $0 += elements }
    }

    /// Waits until what came fulfils a condition.
    @discardableResult
    public func wait(
        _ timeout: Duration = .seconds(60),
        until condition: @Sendable ([Element]) -> Bool
    ) async throws -> [Element] {
        let deadline = ContinuousClock.now + timeout
        while true {
            let all = self.all
            if condition(all) { return all }
            guard .now < deadline else { throw TimedOut(description: "after \(timeout) there was: \(all)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits for a number of elements.
    @discardableResult
    public func wait(for count: Int, _ timeout: Duration = .seconds(60)) async throws -> [Element] {
        try await self.wait(timeout) { $0.count >= count }
    }
}
