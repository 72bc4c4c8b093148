/// What was declared on a connection and must exist again after a reconnection.
struct Topology {
    private(set) var exchanges: [String: ExchangeRecord] = [:]
    private(set) var queues: [String: QueueRecord] = [:]
    private(set) var bindings: Set<Binding> = []
    /// Old names of queues whose names the broker chooses, with the present ones.
    private var names: [String: String] = [:]

    /// The present name of a queue that may have been renamed.
    func currentName(_ name: String) -> String {
        self.names[name] ?? name
    }

    mutating func record(_ exchange: ExchangeRecord) {
        self.exchanges[exchange.name] = exchange
    }

    mutating func record(_ queue: QueueRecord) {
        self.queues[queue.name] = queue
    }

    mutating func record(_ binding: Binding) {
        self.bindings.insert(binding)
    }

    mutating func removeExchange(_ name: String) {
        self.exchanges[name] = nil
        let gone = self.bindings.filter { $0.source == name || $0.destination == .exchange(name) }
        self.remove(gone)
    }

    mutating func removeQueue(_ name: String) {
        self.queues[name] = nil
        self.names = self.names.filter { $0.value != name }
        self.remove(self.bindings.filter { $0.destination == .queue(name) })
    }

    mutating func remove(_ binding: Binding) {
        self.remove([binding])
    }

    /// Removes bindings, and the exchanges that the broker deletes with their last binding.
    private mutating func remove(_ gone: Set<Binding>) {
        self.bindings.subtract(gone)
        for source in Set(gone.map { $0.source }) where self.exchanges[source]?.autoDelete == true {
            if !self.bindings.contains(where: { $0.source == source }) {
                self.removeExchange(source)
            }
        }
    }

    /// A queue got a new name from the broker: everything that mentions it follows.
    mutating func rename(_ old: String, to new: String) {
        guard old != new, var record = self.queues.removeValue(forKey: old) else { return }
        record.name = new
        self.queues[new] = record
        for (first, last) in self.names where last == old {
            self.names[first] = new
        }
        self.names[old] = new
        for binding in self.bindings where binding.destination == .queue(old) {
            var renamed = binding
            renamed.destination = .queue(new)
            self.bindings.remove(binding)
            self.bindings.insert(renamed)
        }
    }

    /// The bindings of a queue.
    func bindings(of queue: String) -> [Binding] {
        self.bindings.filter { $0.destination == .queue(queue) }
    }
}
