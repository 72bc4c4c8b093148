import Testing

@testable import Compression

/// Wire contract 2.2: bodies compressed by kombu, and what a peer may send instead.
@Suite(.timeLimit(.minutes(3))) struct CompressionTests {
    private static let limit = 128 << 20

    /// Bytes of several sizes around those of the steps, that compress well and hardly at all.
    private static var samples: [[UInt8]] {
        var generator = SystemRandomNumberGenerator()
        return [0, 1, 100, 65_535, 65_536, 65_537, 1_000_000].flatMap { size -> [[UInt8]] in
            [
                (0..<size).map { UInt8(truncatingIfNeeded: $0 % 7) },
                (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) },
            ]
        }
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .bzip2])
    func `what is compressed comes back`(_ algorithm: CompressionAlgorithm) async throws {
        for sample in Self.samples {
            let compressed = try await algorithm.compress(sample)
            #expect(try await algorithm.decompress(compressed, limit: Self.limit) == sample)
        }
        let zeros = [UInt8](repeating: 0, count: 1_000_000)
        #expect(try await algorithm.compress(zeros).count < 2_000)
    }

    /// Made by Python 3.11: `zlib.compress`, `gzip.compress` and `bz2.compress` of the same text.
    private static let text = Array("wire contract 2.2, wire contract 2.2, wire contract 2.2".utf8)
    private static let byPython: [(algorithm: CompressionAlgorithm, hex: String)] = [
        (.gzip, "789c2bcf2c4a5548cecf2b294a4c2e5130d233d251282742080010ff124e"),
        (.gzip, "1f8b08000000000002032bcf2c4a5548cecf2b294a4c2e5130d233d251282742080008ea339937000000"),
        (
            .bzip2,
            "425a683931415926535936c13c5a00001a1980400510002a219480200021b54d"
                + "1a68c080680288369c4e9cd50c40c59649250c593f582ee48a70a1206d8278b4"
        ),
    ]

    private static func bytes(_ hex: String) throws -> [UInt8] {
        let digits = Array(hex)
        return try stride(from: 0, to: digits.count, by: 2).map { index in
            try #require(UInt8(String(digits[index...(index + 1)]), radix: 16))
        }
    }

    @Test func `what Python compresses is read`() async throws {
        for (algorithm, hex) in Self.byPython {
            #expect(try await algorithm.decompress(Self.bytes(hex), limit: Self.limit) == Self.text)
        }
    }

    @Test func `what Python's zlib writes is written, byte for byte`() async throws {
        #expect(try await CompressionAlgorithm.gzip.compress(Self.text) == Self.bytes(Self.byPython[0].hex))
        #expect(try await CompressionAlgorithm.bzip2.compress(Self.text) == Self.bytes(Self.byPython[2].hex))
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .bzip2])
    func `a bomb is given up at the limit`(_ algorithm: CompressionAlgorithm) async throws {
        let compressed = try await algorithm.compress([UInt8](repeating: 0, count: 3_000_000))
        #expect(try await algorithm.decompress(compressed, limit: 3_000_000).count == 3_000_000)
        for limit in [2_999_999, 65_536, 1, 0] {
            let error = await #expect(throws: CompressionError.self) {
                try await algorithm.decompress(compressed, limit: limit)
            }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .bzip2])
    func `what is truncated, damaged or followed by more is refused`(_ algorithm: CompressionAlgorithm) async throws {
        func code(_ bytes: [UInt8]) async -> CompressionError.Code? {
            do {
                _ = try await algorithm.decompress(bytes, limit: Self.limit)
                return nil
            } catch {
                return error.code
            }
        }
        let compressed = try await algorithm.compress(Self.text)
        #expect(await code(compressed) == nil)
        for count in 0..<compressed.count {
            #expect(await code(Array(compressed[..<count])) == .truncated, "\(count) bytes")
        }
        #expect(await code(compressed + compressed) == .trailingData)
        #expect(await code(compressed + [0]) == .trailingData)
        #expect(await code(Array("not compressed".utf8)) == .corrupt)
        // One wrong bit is found by the checksum at the latest. Some bits mean nothing, between blocks and at the end.
        var harmless = 0
        for index in compressed.indices {
            var damaged = compressed
            damaged[index] ^= 0x10
            do {
                let result = try await algorithm.decompress(damaged, limit: Self.limit)
                #expect(result == Self.text, "byte \(index)")
                harmless += 1
            } catch {
                #expect(error.code == .corrupt || error.code == .truncated, "byte \(index): \(error)")
            }
        }
        #expect(harmless <= 3)
    }

    @Test func `nothing that is thrown at it does more than fail`() async {
        var generator = SystemRandomNumberGenerator()
        let block: [UInt8] = Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26]
        let starts: [[UInt8]] = [[], [0x78, 0x9C], [0x1F, 0x8B, 8, 0], block]
        for start in starts {
            for _ in 0..<200 {
                let rest = (0..<Int.random(in: 0...300)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                let bytes = start + rest
                for algorithm in [CompressionAlgorithm.gzip, .bzip2] {
                    await #expect(throws: CompressionError.self) {
                        try await algorithm.decompress(bytes, limit: 1 << 20)
                    }
                }
            }
        }
    }

    @Test func `kombu's names are known, and no others`() {
        for name in ["application/x-gzip", "gzip", "zlib"] { #expect(CompressionAlgorithm(named: name) == .gzip) }
        for name in ["application/x-bz2", "bz2", "bzip2", "bzip"] {
            #expect(CompressionAlgorithm(named: name) == .bzip2)
        }
        for name in ["", "application/x-lzma", "zstd", "GZIP"] { #expect(CompressionAlgorithm(named: name) == nil) }
    }
}
