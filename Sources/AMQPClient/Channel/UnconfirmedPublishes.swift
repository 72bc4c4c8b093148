/// The messages that a channel has sent and the broker has not confirmed, by the numbers that confirms name them with.
///
/// Confirms come nearly in the order of sending, so this is an array with a moving beginning, not a table.
struct UnconfirmedPublishes {
    private var entries: [PublishRequest?] = []
    private var head = 0
    /// The number of the entry at `head`.
    private var firstTag: UInt64 = 1
    /// How many of them somebody waits for with nothing else to do.
    private(set) var urgent = 0

    /// The number of the next message.
    var nextTag: UInt64 { self.firstTag + UInt64(self.entries.count - self.head) }
    /// The lowest number that may be unconfirmed.
    var lowestTag: UInt64 { self.firstTag }
    /// In the order of sending.
    var requests: [PublishRequest] { self.entries[self.head...].compactMap { $0 } }

    subscript(tag: UInt64) -> PublishRequest? {
        guard tag >= self.firstTag, tag < self.nextTag else { return nil }
        return self.entries[self.head + Int(tag - self.firstTag)]
    }

    mutating func append(_ request: PublishRequest) {
        self.entries.append(request)
        self.urgent += request.isPatient ? 0 : 1
    }

    /// Takes one out, if it is still there.
    mutating func remove(_ tag: UInt64) -> PublishRequest? {
        guard tag >= self.firstTag, tag < self.nextTag else { return nil }
        let index = self.head + Int(tag - self.firstTag)
        guard let request = self.entries[index] else { return nil }
        self.entries[index] = nil
        self.urgent -= request.isPatient ? 0 : 1
        self.trim()
        return request
    }

    /// Takes the first one out, if its number is `tag` or lower.
    mutating func removeFirst(upTo tag: UInt64) -> PublishRequest? {
        guard self.firstTag <= tag, self.head < self.entries.count, let request = self.entries[self.head] else {
            return nil
        }
        self.entries[self.head] = nil
        self.urgent -= request.isPatient ? 0 : 1
        self.trim()
        return request
    }

    /// Takes all out, in the order of sending; the numbers go on.
    mutating func removeAll() -> [PublishRequest] {
        let requests = self.requests
        self.firstTag = self.nextTag
        self.entries = []
        self.head = 0
        self.urgent = 0
        return requests
    }

    private mutating func trim() {
        while self.head < self.entries.count, self.entries[self.head] == nil {
            self.head += 1
            self.firstTag += 1
        }
        if self.head == self.entries.count {
            self.entries.removeAll(keepingCapacity: self.entries.capacity <= 4_096)
            self.head = 0
        } else if self.head >= 1_024, self.head > self.entries.count / 2 {
            self.entries.removeFirst(self.head)
            self.head = 0
        }
    }
}
