extension FakeBroker.Peer {
    /// Log-in as a broker of a version does it.
    package func logIn(version: String) throws {
        _ = try self.receive(8)
        let properties = Wire.shortString("version") + [UInt8(ascii: "S")] + Wire.longString(version)
        let start =
            [0, 9] + Wire.long(UInt32(properties.count)) + properties + Wire.longString("PLAIN")
            + Wire.longString("en_US")
        try self.send(Wire.method(0, 10, 10, start))
        _ = try self.receiveMethod()
        try self.tune()
        _ = try self.receiveMethod()
        _ = try self.receiveMethod()
        try self.send(Wire.method(0, 10, 41, [0]))
    }

    /// Answers all that a service asks for, and confirms its messages, until the client goes.
    ///
    /// The closure is asked before each answer; where it says no, it has seen to an answer of its own.
    package func serve(answers: (_ channel: UInt16, _ id: UInt32, _ arguments: [UInt8]) throws -> Bool) throws {
        while true {
            let (channel, id, arguments) = try self.receiveMethod()
            if try answers(channel, id, arguments) { try self.answer(channel, id, arguments) }
        }
    }

    /// Answers one method as a real broker would.
    package func answer(_ channel: UInt16, _ id: UInt32, _ arguments: [UInt8]) throws {
        func string(at start: Int) -> [UInt8] { Array(arguments[start...(start + Int(arguments[start]))]) }
        let number = (class: UInt16(id >> 16), method: UInt16(id & 0xFFFF))
        switch number {
        case (10, 50), (20, 40), (85, 10), (40, 10), (50, 20), (60, 10):
            if number == (85, 10) { self.confirmed[channel] = 0 }
            try self.send(Wire.method(channel, number.class, number.method + 1))
        case (20, 10), (50, 40): try self.send(Wire.method(channel, number.class, number.method + 1, Wire.long(0)))
        case (50, 10): try self.send(Wire.method(channel, 50, 11, string(at: 2) + Wire.long(0) + Wire.long(0)))
        case (60, 20): try self.send(Wire.method(channel, 60, 21, string(at: 3 + Int(arguments[2]))))
        case (60, 30): try self.send(Wire.method(channel, 60, 31, string(at: 0)))
        case (60, 40):
            guard let last = self.confirmed[channel] else { return }
            self.confirmed[channel] = last + 1
            try self.send(Wire.method(channel, 60, 80, Wire.longLong(last + 1) + [0]))
        default: break
        }
    }
}
