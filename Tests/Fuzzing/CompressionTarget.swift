import Compression
import Glibc

/// Compressed bodies.
enum CompressionTarget {
    private static let limit = 1 << 20

    /// The first byte chooses the algorithm, and at one value of each whether the others are to be packed first.
    @Sendable static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let algorithm = first & 1 == 0 ? CompressionAlgorithm.gzip : .bzip2
        let body = Array(bytes.dropFirst())
        waiting {
            if first & 0xFE == 2 {
                do {
                    let packed = try await algorithm.compress(body)
                    claim(try await algorithm.decompress(packed, limit: body.count) == body, "bytes have changed")
                } catch {
                    fatalError("what was packed cannot be unpacked: \(error)")
                }
            } else if let plain = try? await algorithm.decompress(body, limit: self.limit) {
                claim(plain.count <= self.limit, "more than the limit was unpacked")
            }
        }
    }

    /// Waits for a task from a thread that is no task's.
    private static func waiting(_ body: @escaping @Sendable () async -> Void) {
        // Initialised here, destroyed here, and the task has ended then.
        nonisolated(unsafe) let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
        Task {
            await body()
            sem_post(semaphore)
        }
        while sem_wait(semaphore) != 0 {}
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
}
