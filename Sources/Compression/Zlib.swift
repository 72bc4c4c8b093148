internal import CZlib

/// zlib's state; it must not move, since zlib keeps its address.
@safe private struct ZlibStream: ~Copyable {
    private let raw: UnsafeMutablePointer<z_stream>
    private let end: (UnsafeMutablePointer<z_stream>) -> Void

    /// - Parameters:
    ///   - start: Initializes the state; answers zlib's status.
    ///   - end: Frees what `start` made.
    /// - Throws: `outOfMemory`.
    init(
        start: (UnsafeMutablePointer<z_stream>) -> Int32,
        end: @escaping (UnsafeMutablePointer<z_stream>) -> Void
    ) throws(CompressionError) {
        unsafe self.raw = .allocate(capacity: 1)
        unsafe self.raw.initialize(to: z_stream())
        unsafe self.end = end
        guard unsafe start(self.raw) == Z_OK else {
            throw CompressionError(.outOfMemory, "zlib cannot be started")
        }
    }

    deinit {
        // After a failed start zlib has no state, and the call does nothing.
        unsafe self.end(self.raw)
        unsafe self.raw.deallocate()
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        _ body: (UnsafeMutablePointer<z_stream>) -> Int32
    ) -> CodecStep {
        // zlib only reads the input, but has no const in its interface.
        let bytes = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress)
        unsafe self.raw.pointee.next_in = bytes?.assumingMemoryBound(to: UInt8.self)
        unsafe self.raw.pointee.avail_in = UInt32(input.count)
        unsafe self.raw.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe self.raw.pointee.avail_out = UInt32(output.count)
        let status = unsafe body(self.raw)
        let outcome: CodecStep.Outcome =
            switch status {
            // There is nothing to do without more input or more room, which is no error.
            case Z_OK, Z_BUF_ERROR: .more
            case Z_STREAM_END: .finished
            case Z_MEM_ERROR: .failed(CompressionError(.outOfMemory, "zlib got no memory"))
            default: .failed(CompressionError(.corrupt, "the bytes are not deflated, or are damaged"))
            }
        return CodecStep(
            consumed: input.count - Int(unsafe self.raw.pointee.avail_in),
            produced: output.count - Int(unsafe self.raw.pointee.avail_out),
            outcome: outcome
        )
    }
}

/// Reads zlib's format and gzip's.
struct Inflater: Codec, ~Copyable {
    /// The largest window, and 32 for either header.
    private static let windowBits: Int32 = 15 + 32

    private var stream: ZlibStream

    init() throws(CompressionError) {
        self.stream = unsafe try ZlibStream { raw in
            unsafe inflateInit2_(raw, Self.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        } end: { raw in
            unsafe _ = inflateEnd(raw)
        }
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> CodecStep {
        unsafe self.stream.step(input, into: output) { raw in unsafe inflate(raw, Z_NO_FLUSH) }
    }
}

/// Writes zlib's format, as Python's `zlib.compress` does.
struct Deflater: Codec, ~Copyable {
    private var stream: ZlibStream

    init() throws(CompressionError) {
        self.stream = unsafe try ZlibStream { raw in
            unsafe deflateInit_(raw, Z_DEFAULT_COMPRESSION, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        } end: { raw in
            unsafe _ = deflateEnd(raw)
        }
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> CodecStep {
        unsafe self.stream.step(input, into: output) { raw in unsafe deflate(raw, isLast ? Z_FINISH : Z_NO_FLUSH) }
    }
}
