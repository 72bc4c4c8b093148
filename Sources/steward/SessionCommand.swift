internal import ArgumentParser

/// A command that does something at a broker, over a connection of its own and within one time limit.
protocol SessionCommand: ParsableCommand {
    /// The broker, and how the outcome is printed.
    var broker: BrokerOptions { get }
    /// The limit for all of it: connecting, sending, waiting.
    var timeLimit: Duration { get }

    /// Whether a broker is needed at all.
    var usesBroker: Bool { get }

    /// Reads what the command line points at, such as files, and answers what is to be done.
    ///
    /// - Throws: `ValidationError`, which ends the program with a word on its usage.
    func prepare() throws -> Session.Work
}

extension SessionCommand {
    var usesBroker: Bool { true }
}

/// A command that sends one request of any method.
protocol RequestCommand: SessionCommand {
    var options: RequestOptions { get }
    var kind: Request.Kind { get }
}

extension RequestCommand {
    var broker: BrokerOptions { self.options.broker }
    var timeLimit: Duration { self.options.timeout.duration }

    /// Checks what ArgumentParser cannot, before anything is read or connected to.
    mutating func validate() throws {
        try self.options.check(self.kind)
    }

    func prepare() throws -> Session.Work {
        let request = try Request(self)
        return { means in try await request.send(with: means) }
    }
}
