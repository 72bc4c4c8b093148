import Foundation
import TestSupport

/// The time of the calendar of other processes, moved while they run: what an operator or a time server does to a host.
///
/// A library that is loaded before all others answers them another time. It is built where the test runs; the monotonic
/// clocks are left alone, as the kernel leaves them.
package struct ShiftedClock: Sendable {
    /// What a process needs in its environment to have this clock.
    package let environment: [String: String]
    private let file: String

    /// Makes a clock that is right so far; `nil` where no compiler is at hand.
    package init?(in directory: String, name: String) async throws {
        let (source, library) = ("\(directory)/clock.c", "\(directory)/clock.so")
        if !FileManager.default.fileExists(atPath: library) {
            try Data(Self.source.utf8).write(to: URL(fileURLWithPath: source))
            var isBuilt = false
            for compiler in ["cc", "clang", "gcc"] where !isBuilt {
                do {
                    let arguments = [compiler, "-shared", "-fPIC", "-O1", "-o", library, source]
                    try await PrivateNode.run("/usr/bin/env", arguments)
                    isBuilt = true
                } catch let failure as PrivateNode.Failure {
                    print("\(compiler) does not build the clock: \(failure)")
                }
            }
            guard isBuilt else { return nil }
        }
        self.file = "\(directory)/\(name).offset"
        self.environment = ["LD_PRELOAD": library, "STEWARD_TEST_CLOCK": self.file]
        try Data(count: MemoryLayout<Int64>.size).write(to: URL(fileURLWithPath: self.file))
    }

    /// Moves the clock to so many seconds before or after the truth.
    package func shift(by seconds: Int64) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: self.file))
        // In place: the processes have the file in their memory.
        try handle.write(contentsOf: withUnsafeBytes(of: seconds) { Data($0) })
        try handle.close()
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        static volatile const long *offset;

        __attribute__((constructor)) static void begin(void) {
            const char *path = getenv("STEWARD_TEST_CLOCK");
            int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            if (file < 0) return;
            void *memory = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
            close(file);
            if (memory != MAP_FAILED) offset = memory;
        }

        int clock_gettime(clockid_t clock, struct timespec *time) {
            long result = syscall(SYS_clock_gettime, clock, time);
            if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                time->tv_sec += *offset;
            return (int)result;
        }

        int gettimeofday(struct timeval *restrict time, void *restrict zone) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            time->tv_sec = now.tv_sec;
            time->tv_usec = now.tv_nsec / 1000;
            return 0;
        }

        time_t time(time_t *result) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (result) *result = now.tv_sec;
            return now.tv_sec;
        }

        """
}
