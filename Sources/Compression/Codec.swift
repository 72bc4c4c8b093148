/// A compressor or decompressor of a C library, fed piece by piece.
protocol Codec: ~Copyable {
    /// Takes from the input and adds to the output what it can.
    ///
    /// - Parameters:
    ///   - input: What comes next; none of it is kept.
    ///   - isLast: Whether nothing follows the input.
    ///   - output: Where the result goes; not empty.
    /// - Returns: How far it came.
    mutating func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) -> CodecStep
}

/// What one step did.
struct CodecStep {
    enum Outcome {
        case more
        case finished
        case failed(CompressionError)
    }

    var consumed: Int
    var produced: Int
    var outcome: Outcome
}

/// Bytes that one step works on at most, on either side: what a step may hold up the thread that it runs on is
/// milliseconds.
private let pieceSize = 64 << 10

/// Runs a codec over the whole input.
///
/// The task yields between steps, so that no body, however large, keeps a thread of the shared pool from others.
func run<C: Codec & ~Copyable>(
    _ codec: consuming C,
    over input: [UInt8],
    limit: Int
) async throws(CompressionError) -> [UInt8] {
    var codec = codec
    var output: [UInt8] = []
    var position = 0
    var piece = [UInt8](repeating: 0, count: pieceSize)
    while true {
        let end = min(position + pieceSize, input.count)
        // One byte more than allowed, to tell a result that is too large from one that just fits.
        let space = limit - output.count >= pieceSize ? pieceSize : limit - output.count + 1
        let step = unsafe input.withUnsafeBytes { bytes in
            unsafe piece.withUnsafeMutableBytes { buffer in
                unsafe codec.step(
                    UnsafeRawBufferPointer(rebasing: bytes[position..<end]),
                    isLast: end == bytes.count,
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<space])
                )
            }
        }
        position += step.consumed
        output += piece[..<step.produced]
        guard output.count <= limit else {
            throw CompressionError(.tooLarge, "the decompressed bytes are more than the \(limit) that are accepted")
        }
        switch step.outcome {
        case .failed(let error): throw error
        case .finished:
            guard position == input.count else {
                throw CompressionError(
                    .trailingData,
                    "\(input.count - position) bytes follow the end of the compressed stream"
                )
            }
            return output
        case .more:
            guard step.consumed > 0 || step.produced > 0 else {
                throw position == input.count
                    ? CompressionError(.truncated, "the compressed stream ends too early")
                    : CompressionError(.corrupt, "the compressed stream leads nowhere")
            }
        }
        await Task.yield()
        if Task.isCancelled { throw CompressionError(.cancelled, "the task was cancelled") }
    }
}
