internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Where log lines go: standard error, or a test.
///
/// A line is written as a whole, whatever other threads write; one that nobody takes is gone.
final class LogOutput: Sendable {
    static let standardError = LogOutput { bytes in
        // By its descriptor: the C stream is a mutable global, which Swift 6 does not let several tasks touch.
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            rest = rest.dropFirst(written)
        }
    }

    private let lock = Mutex(())
    private let body: @Sendable ([UInt8]) -> Void

    init(_ body: @escaping @Sendable ([UInt8]) -> Void) { self.body = body }

    func add(_ line: [UInt8]) {
        self.lock.withLock { _ in self.body(line) }
    }
}

/// What the text format writes to: it keeps a message on the one line that is its own, whatever it holds.
struct TextLogStream: TextOutputStream, Sendable {
    let output: LogOutput

    mutating func write(_ text: String) {
        let line = text.hasSuffix("\n") ? text.dropLast() : text[...]
        guard line.unicodeScalars.contains(where: Self.isControl) else { return self.output.add(Array(text.utf8)) }
        var shown = ""
        for scalar in line.unicodeScalars {
            if Self.isControl(scalar) {
                shown += scalar.escaped(asASCII: true)
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
        self.output.add(Array((shown + "\n").utf8))
    }

    /// Whether a character could end a line, or move a terminal's cursor.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: scalar != "\t"
        default: false
        }
    }
}
