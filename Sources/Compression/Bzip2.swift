internal import CBzip2

/// libbz2's state; it must not move, since the library keeps its address.
@safe private struct Bzip2Stream: ~Copyable {
    private let raw: UnsafeMutablePointer<bz_stream>
    private let end: (UnsafeMutablePointer<bz_stream>) -> Void

    /// - Parameters:
    ///   - start: Initializes the state; answers the library's status.
    ///   - end: Frees what `start` made.
    /// - Throws: `outOfMemory`.
    init(
        start: (UnsafeMutablePointer<bz_stream>) -> Int32,
        end: @escaping (UnsafeMutablePointer<bz_stream>) -> Void
    ) throws(CompressionError) {
        unsafe self.raw = .allocate(capacity: 1)
        unsafe self.raw.initialize(to: bz_stream())
        unsafe self.end = end
        guard unsafe start(self.raw) == BZ_OK else {
            throw CompressionError(.outOfMemory, "bzip2 cannot be started")
        }
    }

    deinit {
        // After a failed start the library has no state, and the call does nothing.
        unsafe self.end(self.raw)
        unsafe self.raw.deallocate()
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        _ body: (UnsafeMutablePointer<bz_stream>) -> Int32
    ) -> CodecStep {
        // The library only reads the input, but has no const in its interface.
        let bytes = unsafe UnsafeMutableRawPointer(mutating: input.baseAddress)
        unsafe self.raw.pointee.next_in = bytes?.assumingMemoryBound(to: CChar.self)
        unsafe self.raw.pointee.avail_in = UInt32(input.count)
        unsafe self.raw.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: CChar.self)
        unsafe self.raw.pointee.avail_out = UInt32(output.count)
        let status = unsafe body(self.raw)
        let outcome: CodecStep.Outcome =
            switch status {
            case BZ_OK, BZ_RUN_OK, BZ_FINISH_OK: .more
            case BZ_STREAM_END: .finished
            case BZ_MEM_ERROR: .failed(CompressionError(.outOfMemory, "bzip2 got no memory"))
            default: .failed(CompressionError(.corrupt, "the bytes are not bzip2's, or are damaged"))
            }
        return CodecStep(
            consumed: input.count - Int(unsafe self.raw.pointee.avail_in),
            produced: output.count - Int(unsafe self.raw.pointee.avail_out),
            outcome: outcome
        )
    }
}

/// Reads bzip2.
struct Bzip2Decompressor: Codec, ~Copyable {
    private var stream: Bzip2Stream

    init() throws(CompressionError) {
        self.stream = unsafe try Bzip2Stream { raw in
            unsafe BZ2_bzDecompressInit(raw, 0, 0)
        } end: { raw in
            unsafe _ = BZ2_bzDecompressEnd(raw)
        }
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> CodecStep {
        unsafe self.stream.step(input, into: output) { raw in unsafe BZ2_bzDecompress(raw) }
    }
}

/// Writes bzip2, in the largest blocks, as Python's `bz2.compress` does.
struct Bzip2Compressor: Codec, ~Copyable {
    private var stream: Bzip2Stream

    init() throws(CompressionError) {
        self.stream = unsafe try Bzip2Stream { raw in
            unsafe BZ2_bzCompressInit(raw, 9, 0, 0)
        } end: { raw in
            unsafe _ = BZ2_bzCompressEnd(raw)
        }
    }

    mutating func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> CodecStep {
        unsafe self.stream.step(input, into: output) { raw in
            unsafe BZ2_bzCompress(raw, isLast ? BZ_FINISH : BZ_RUN)
        }
    }
}
