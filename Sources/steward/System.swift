internal import Dispatch
internal import Glibc

// What the program needs of the system. Foundation would give it as well, and double the time to start.

/// An error of a system call.
struct SystemError: Error, CustomStringConvertible {
    let code: Int32
    let subject: String

    var description: String { "\(self.subject): \(String(cString: strerror(self.code)))" }
}

/// Where bytes are read from.
enum InputSource {
    case standardInput
    case file(String)
}

/// Reads all there is.
func readToEnd(_ source: InputSource) throws(SystemError) -> [UInt8] {
    let descriptor: Int32
    let subject: String
    switch source {
    case .standardInput:
        (descriptor, subject) = (STDIN_FILENO, "standard input")
    case .file(let path):
        (descriptor, subject) = (open(path, O_RDONLY | O_CLOEXEC), path)
    }
    guard descriptor >= 0 else { throw SystemError(code: errno, subject: subject) }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0 {
            if errno == EINTR { continue }
            throw SystemError(code: errno, subject: subject)
        }
        if count == 0 { return bytes }
        bytes += chunk[..<count]
    }
}

/// The standard streams.
enum OutputStream: Int32 {
    case standardOutput = 1
    case standardError = 2

    /// Writes a line, whole.
    func write(line: String) throws(SystemError) {
        var bytes = Array((line + "\n").utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { systemWrite(self.rawValue, $0.baseAddress, $0.count) }
            if count >= 0 {
                bytes = bytes.dropFirst(count)
            } else if errno == EAGAIN {
                var ready = pollfd(fd: self.rawValue, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
            } else if errno != EINTR {
                throw SystemError(code: errno, subject: "standard output")
            }
        }
    }
}

/// `write`, under a name that does not meet the method's.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}

/// A variable of the environment; one that is empty counts.
func environmentValue(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// Ends the program.
func endProgram(_ code: Int32) -> Never {
    exit(code)
}

/// Ends the program after a time, whatever it is waiting for then.
func endProgram(_ code: Int32, after delay: Duration) {
    let milliseconds = Int(delay / .milliseconds(1))
    DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { endProgram(code) }
}

/// The signals that ask the program to end, instead of their ending it at once.
func interruptions() -> AsyncStream<Int32> {
    AsyncStream { continuation in
        // Dispatch sources are objects that any thread may use; they are only not declared so.
        nonisolated(unsafe) let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return source
        }
        continuation.onTermination = { _ in sources.forEach { $0.cancel() } }
    }
}
