/// Bytes as a broker writes them, for tests that play the broker.
package enum Wire {
    package static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8], end: UInt8 = 0xCE) -> [UInt8] {
        [type] + self.short(channel) + self.long(UInt32(payload.count)) + payload + [end]
    }

    package static func method(_ channel: UInt16, _ classID: UInt16, _ methodID: UInt16, _ arguments: [UInt8] = [])
        -> [UInt8]
    {
        self.frame(1, channel, self.short(classID) + self.short(methodID) + arguments)
    }

    package static func contentHeader(_ channel: UInt16, bodySize: UInt64, flags: UInt16 = 0, _ rest: [UInt8] = [])
        -> [UInt8]
    {
        self.frame(2, channel, [0, 60, 0, 0] + self.longLong(bodySize) + self.short(flags) + rest)
    }

    package static func short(_ value: UInt16) -> [UInt8] {
        [UInt8(value >> 8), UInt8(value & 0xFF)]
    }

    package static func long(_ value: UInt32) -> [UInt8] {
        self.short(UInt16(value >> 16)) + self.short(UInt16(value & 0xFFFF))
    }

    package static func longLong(_ value: UInt64) -> [UInt8] {
        self.long(UInt32(value >> 32)) + self.long(UInt32(value & 0xFFFF_FFFF))
    }

    package static func random(upTo count: Int) -> [UInt8] {
        (0..<Int.random(in: 0...count)).map { _ in Bool.random() ? UInt8.random(in: 0...8) : UInt8.random(in: 0...255) }
    }

    package static func shortString(_ text: String) -> [UInt8] {
        [UInt8(text.utf8.count)] + Array(text.utf8)
    }

    package static func longString(_ text: String) -> [UInt8] {
        self.long(UInt32(text.utf8.count)) + Array(text.utf8)
    }

    package static func deliver(_ channel: UInt16, consumer: String, tag: UInt64, key: String = "q") -> [UInt8] {
        self.method(
            channel,
            60,
            60,
            self.shortString(consumer) + self.longLong(tag) + [0] + self.shortString("") + self.shortString(key)
        )
    }
}
