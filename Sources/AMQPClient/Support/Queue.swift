/// First in, first out, without moving what stays.
struct Queue<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { self.elements.count - self.head }
    var isEmpty: Bool { self.count == 0 }
    var all: [Element] { self.elements[self.head...].compactMap { $0 } }
    var first: Element? { self.isEmpty ? nil : self.elements[self.head] }

    mutating func append(_ element: Element) {
        self.elements.append(element)
    }

    mutating func popFirst() -> Element? {
        guard !self.isEmpty else { return nil }
        let element = self.elements[self.head]
        self.elements[self.head] = nil
        self.head += 1
        if self.head == self.elements.count {
            self.elements.removeAll(keepingCapacity: true)
            self.head = 0
        } else if self.head > 256, self.head > self.elements.count / 2 {
            self.elements.removeFirst(self.head)
            self.head = 0
        }
        return element
    }

    /// Puts elements before all others.
    mutating func prepend(contentsOf others: [Element]) {
        self.elements.replaceSubrange(..<self.head, with: others.map { Optional($0) })
        self.head = 0
    }

    mutating func removeAll(where isGone: (Element) -> Bool) {
        self.elements = self.elements[self.head...].filter { $0.map { !isGone($0) } ?? false }
        self.head = 0
    }

    /// Takes everything out.
    mutating func drain() -> [Element] {
        defer { self = Queue() }
        return self.all
    }
}
