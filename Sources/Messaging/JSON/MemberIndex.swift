/// Notes the members of an object while its text is checked, so that nobody has to look for them again.
///
/// What is inside of a member is not noted: as long as nobody reads it, only its extent matters.
struct MemberIndex: JSONVisitor {
    /// More tokens than these are not worth their memory.
    private static let limit = 1024

    /// The first byte of the object.
    private let origin: Int
    private var found: [JSONToken] = []
    private var depth = 0
    private var lastKey = 0
    private var isComplete = true

    /// Begins at the first byte of a value.
    init(at origin: Int) {
        self.origin = origin
    }

    /// The object and its members, in the form of ``TokenList``; `nil` if it is no object, or one of very many members.
    var tokens: [JSONToken]? { self.isComplete && !self.found.isEmpty ? self.found : nil }

    mutating func key(_ token: JSONStringToken) {
        guard self.depth == 1, self.isComplete else { return }
        let index = self.found.count
        self.note(JSONToken(self.relative(token), next: self.lastKey))
        self.lastKey = index
    }

    mutating func string(_ token: JSONStringToken) {
        guard self.depth == 1, self.isComplete else { return }
        self.note(JSONToken(self.relative(token), next: self.found.count + 1))
    }

    mutating func scalar(_ kind: JSONToken.Kind, from start: Int, to end: Int) {
        guard self.depth == 1, self.isComplete else { return }
        self.note(self.token(kind, from: start, to: end))
    }

    mutating func open(_ kind: JSONToken.Kind, at start: Int) {
        self.depth += 1
        guard self.depth <= 2, self.isComplete else { return }
        if self.depth == 2 {
            self.note(self.token(kind == .object ? .unreadObject : .unreadArray, from: start, to: start))
        } else if kind == .object {
            self.found.reserveCapacity(9)
            self.note(self.token(kind, from: start, to: start))
        } else {
            self.isComplete = false
        }
    }

    mutating func close(at end: Int) {
        self.depth -= 1
        guard self.depth <= 1, self.isComplete else { return }
        if self.depth == 1 {
            self.found[self.found.count - 1].end = UInt32(end - self.origin)
        } else {
            self.found[0].end = UInt32(end - self.origin)
            self.found[0].next = UInt32(self.found.count)
            self.found[0].lastKey = UInt32(self.lastKey)
        }
    }

    private mutating func note(_ token: JSONToken) {
        guard self.found.count < Self.limit else {
            self.isComplete = false
            self.found = []
            return
        }
        self.found.append(token)
    }

    private func relative(_ token: JSONStringToken) -> JSONStringToken {
        JSONStringToken(
            start: token.start - self.origin,
            end: token.end - self.origin,
            hasEscapes: token.hasEscapes
        )
    }

    private func token(_ kind: JSONToken.Kind, from start: Int, to end: Int) -> JSONToken {
        JSONToken(
            start: UInt32(start - self.origin),
            end: UInt32(end - self.origin),
            next: UInt32(self.found.count + 1),
            kind: kind
        )
    }
}
