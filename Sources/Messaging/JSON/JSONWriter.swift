/// Writes JSON text into a buffer of its own.
///
/// A document inside a string of another document is written escaped at once: the writer keeps how many strings it is
/// inside of, its ``level``, and puts the backslashes for all of them. The wire nests two such levels (wire contract 3.1,
/// 3.4): the payload inside the envelope and the failure inside the payload.
package struct JSONWriter: ~Copyable {
    private(set) var base: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    package private(set) var count = 0
    /// Whether the buffer is a caller's, who frees it.
    private var isBorrowing = false

    /// How many strings the document that is being written lies inside of.
    private(set) var level = 0
    let asciiOnly: Bool

    package init(capacity: Int = 512, asciiOnly: Bool = true) {
        self.capacity = max(capacity, 64)
        self.base = .allocate(capacity: self.capacity)
        self.asciiOnly = asciiOnly
    }

    /// A writer for a part of what `other` writes; it has no buffer until something is written.
    init(like other: borrowing JSONWriter) {
        let nothing: StaticString = ""
        self.capacity = 0
        // Somebody else's, and never written to.
        self.isBorrowing = true
        self.base = UnsafeMutablePointer(mutating: nothing.utf8Start)
        self.level = other.level
        self.asciiOnly = other.asciiOnly
    }

    /// Writes into `buffer` for as long as it suffices.
    private init(borrowing buffer: UnsafeMutableBufferPointer<UInt8>) {
        self.isBorrowing = buffer.baseAddress != nil
        self.base = buffer.baseAddress ?? .allocate(capacity: 64)
        self.capacity = buffer.baseAddress == nil ? 64 : buffer.count
        self.asciiOnly = true
    }

    deinit {
        if !self.isBorrowing { self.base.deallocate() }
    }

    /// The text, in ASCII, that `body` writes.
    ///
    /// If it has no more bytes than `capacity`, it is written into its array at once; else it is copied there in the end.
    package static func text<Failure: Error>(
        capacity: Int,
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> [UInt8] {
        var failure: Failure?
        var longer: [UInt8]?
        let text = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            var writer = JSONWriter(borrowing: buffer)
            do throws(Failure) {
                try body(&writer)
            } catch {
                failure = error
                return
            }
            if writer.isBorrowing {
                count = writer.count
            } else {
                longer = writer.finish()
            }
        }
        if let failure { throw failure }
        return longer ?? text
    }

    /// The text.
    package consuming func finish() -> [UInt8] {
        Array(UnsafeBufferPointer(start: self.base, count: self.count))
    }

    /// Takes back everything after the first `count` bytes.
    mutating func truncate(to count: Int) {
        self.count = min(count, self.count)
    }

    /// Makes room for `additional` more bytes.
    @inline(__always)
    mutating func reserve(_ additional: Int) {
        if self.count &+ additional > self.capacity { self.grow(by: additional) }
    }

    private mutating func grow(by additional: Int) {
        let capacity = max(self.capacity * 2, self.count + additional, 64)
        let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        grown.update(from: self.base, count: self.count)
        if !self.isBorrowing { self.base.deallocate() }
        self.isBorrowing = false
        self.base = grown
        self.capacity = capacity
    }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        self.base[self.count] = byte
        self.count &+= 1
    }

    @inline(__always)
    mutating func put(_ bytes: UnsafePointer<UInt8>, count: Int) {
        (self.base + self.count).update(from: bytes, count: count)
        self.count &+= count
    }

    /// Counts bytes that were put behind the others, for which there was room.
    @inline(__always)
    mutating func didPut(_ count: Int) {
        self.count &+= count
    }

    // MARK: - Structure

    /// Writes one ASCII byte that is neither a quote nor a backslash.
    @inline(__always)
    package mutating func write(byte: UInt8) {
        self.reserve(1)
        self.put(byte)
    }

    /// Writes ASCII that holds neither a quote nor a backslash.
    @inline(__always)
    package mutating func write(plain text: StaticString) {
        self.reserve(text.utf8CodeUnitCount)
        self.put(text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Writes bytes as they are, at whatever level.
    mutating func write(verbatim bytes: UnsafeBufferPointer<UInt8>) {
        guard let base = bytes.baseAddress else { return }
        self.reserve(bytes.count)
        self.put(base, count: bytes.count)
    }

    /// Writes what another writer has written between two offsets.
    mutating func write(_ other: borrowing JSONWriter, from start: Int, to end: Int) {
        self.write(verbatim: UnsafeBufferPointer(start: other.base + start, count: end - start))
    }

    /// The backslashes that one backslash of the document becomes.
    @inline(__always)
    var backslashWidth: Int { 1 << self.level }

    /// More than what any one character takes: two surrogates, each with its backslashes and five more bytes.
    @inline(__always)
    var escapeWidth: Int { 2 &* (self.backslashWidth &+ 5) }

    @inline(__always)
    mutating func putBackslash() {
        for _ in 0..<self.backslashWidth { self.put(JSONByte.backslash) }
    }

    @inline(__always)
    mutating func putQuote() {
        if self.level > 1 { self.putOuterBackslashes() }
        if self.level > 0 { self.put(JSONByte.backslash) }
        self.put(JSONByte.quote)
    }

    /// The backslashes before a quote, but for the last one.
    private mutating func putOuterBackslashes() {
        for _ in 2..<self.backslashWidth { self.put(JSONByte.backslash) }
    }

    /// Writes a string that holds the document which `body` writes.
    package mutating func writeDocumentInString<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.reserve(self.backslashWidth)
        self.putQuote()
        self.level += 1
        do throws(Failure) {
            try body(&self)
        } catch {
            self.level -= 1
            throw error
        }
        self.level -= 1
        self.reserve(self.backslashWidth)
        self.putQuote()
    }

    // MARK: - Scalars

    package mutating func writeNull() { self.write(plain: "null") }

    package mutating func write(_ value: Bool) {
        if value { self.write(plain: "true") } else { self.write(plain: "false") }
    }

    package mutating func write(_ value: some FixedWidthInteger) {
        guard let value = Int64(exactly: value) else {
            return self.write(digits: String(value))
        }
        self.reserve(20)
        var magnitude = value.magnitude
        if value < 0 { self.put(JSONByte.minus) }
        var width = 1
        var bound: UInt64 = 10
        while magnitude >= bound, width < 19 {
            width &+= 1
            bound &*= 10
        }
        var index = self.count &+ width
        self.count = index
        repeat {
            index &-= 1
            self.base[index] = JSONByte.zero &+ UInt8(truncatingIfNeeded: magnitude % 10)
            magnitude /= 10
        } while magnitude > 0
    }

    package mutating func write(_ value: JSONBigInteger) {
        self.write(digits: value.description)
    }

    /// Writes the shortest text that reads back as the same number, with a point or an exponent like Python's.
    package mutating func write(_ value: Double) {
        if self.writeThousandths(value) { return }
        if value.isFinite {
            self.write(digits: value.description)
        } else if value.isNaN {
            self.write(plain: "NaN")
        } else if value > 0 {
            self.write(plain: "Infinity")
        } else {
            self.write(plain: "-Infinity")
        }
    }

    /// Writes a number of at most three decimals; most are such, and need no search for the shortest text.
    ///
    /// A number that is nearest to a decimal of at most 15 digits is nearest to no other of them, so that this is the
    /// shortest text.
    ///
    /// - Returns: Whether it was written: `false` for all other numbers, and for a negative zero.
    private mutating func writeThousandths(_ value: Double) -> Bool {
        let scaled = value * 1_000
        guard scaled.magnitude < 1e15 else { return false }
        let thousandths = Int64(scaled)
        guard Double(thousandths) / 1_000 == value, thousandths != 0 || value.sign == .plus else { return false }
        let (whole, decimals) = thousandths.magnitude.quotientAndRemainder(dividingBy: 1_000)
        if thousandths < 0 { self.write(byte: JSONByte.minus) }
        self.write(whole)
        self.reserve(4)
        self.put(UInt8(ascii: "."))
        var rest = UInt16(truncatingIfNeeded: decimals)
        var unit: UInt16 = 100
        repeat {
            self.put(JSONByte.zero &+ UInt8(truncatingIfNeeded: rest / unit))
            rest %= unit
            unit /= 10
        } while rest > 0
        return true
    }

    package mutating func write(_ value: Float) {
        if value.isFinite {
            self.write(digits: value.description)
        } else {
            self.write(Double(value))
        }
    }

    private mutating func write(digits: String) {
        var digits = digits
        digits.withUTF8 { self.write(verbatim: $0) }
    }
}
