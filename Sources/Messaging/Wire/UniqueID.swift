/// A new random id of 32 hexadecimal digits, in the form of Python's `uuid4().hex` (wire contract 3.2).
package func makeUniqueID() -> String {
    var random = SystemRandomNumberGenerator()
    // Version 4 and the variant of RFC 9562 stand in fixed places.
    let high = random.next() & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
    let low = random.next() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return String(unsafeUninitializedCapacity: 32) { buffer in
        for index in 0..<32 {
            let word = index < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (index & 15))) & 0xF
            buffer[index] = digit < 10 ? JSONByte.zero + digit : UInt8(ascii: "a") - 10 + digit
        }
        return 32
    }
}
