internal import Glibc
internal import Synchronization

/// A new random id of 32 hexadecimal digits, in the form of Python's `uuid4().hex` (wire contract 3.2).
package func makeUniqueID() -> String {
    let (first, second) = RandomWords.shared.withLock { $0.next() }
    // Version 4 and the variant of RFC 9562 stand in fixed places.
    let high = first & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
    let low = second & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return String(unsafeUninitializedCapacity: 32) { buffer in
        for index in 0..<32 {
            let word = index < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (index & 15))) & 0xF
            buffer[index] = digit < 10 ? JSONByte.zero + digit : UInt8(ascii: "a") - 10 + digit
        }
        return 32
    }
}

/// Random words of the system's, fetched many at a time: each fetch is a system call, and a call needs several ids.
private struct RandomWords {
    static let shared = Mutex(RandomWords())

    private var words: [UInt64] = []

    mutating func next() -> (UInt64, UInt64) {
        guard let first = self.words.popLast(), let second = self.words.popLast() else {
            self.words = Self.fetch()
            var random = SystemRandomNumberGenerator()
            return (random.next(), random.next())
        }
        return (first, second)
    }

    private static func fetch() -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: 32) { buffer, count in
            // 256 bytes, as many as the system gives at once; if it gives none, each id is fetched alone.
            guard let words = buffer.baseAddress else { return }
            count = getentropy(words, 32 * MemoryLayout<UInt64>.size) == 0 ? 32 : 0
        }
    }
}
