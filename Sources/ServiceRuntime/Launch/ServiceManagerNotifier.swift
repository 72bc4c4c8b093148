internal import Glibc
internal import Synchronization

/// Tells systemd how the program is: the protocol of `sd_notify(3)`, one datagram a message.
///
/// Says nothing where nobody asked: without `NOTIFY_SOCKET` in the environment.
package struct ServiceManagerNotifier: Sendable {
    /// What the program is started with: where to send, and how often to be heard.
    private let path: [UInt8]?
    private let socket = NotificationSocket()
    /// How often the service manager wants to hear of a live program; `nil` where it does not.
    package let watchdogInterval: Duration?

    /// Reads the environment of the process.
    package init() {
        self.init(
            socket: getenv("NOTIFY_SOCKET").map { String(cString: $0) },
            watchdog: getenv("WATCHDOG_USEC").map { String(cString: $0) },
            watchdogProcess: getenv("WATCHDOG_PID").map { String(cString: $0) }
        )
    }

    /// Takes what the environment would say.
    package init(socket: String?, watchdog: String? = nil, watchdogProcess: String? = nil) {
        // A path, or, beginning with @, a name of Linux' abstract namespace.
        let path = socket.map { Array($0.utf8) }
        self.path = path.flatMap { path in
            guard path.count > 1, path.count < 108, path[0] == UInt8(ascii: "/") || path[0] == UInt8(ascii: "@") else {
                return nil
            }
            return path
        }
        let isForUs = watchdogProcess.map { $0 == "\(getpid())" } ?? true
        let microseconds = watchdog.flatMap { Int64($0) } ?? 0
        self.watchdogInterval = isForUs && microseconds > 0 ? .microseconds(microseconds) : nil
    }

    /// Whether somebody wants to know.
    package var isWanted: Bool { self.path != nil }

    /// Sends assignments such as `READY=1`; answers whether they were taken.
    ///
    /// Never blocks: who does not read has to do without.
    @discardableResult
    package func send(_ assignments: String...) -> Bool {
        guard let path = self.path else { return false }
        let descriptor = self.socket.descriptor
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: path)
            if path[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        // An abstract name ends where the length says, and not at a zero.
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count + (path[0] == UInt8(ascii: "@") ? 0 : 1))
        let text = Array(assignments.map { Self.line($0) }.joined(separator: "\n").utf8)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                sendto(descriptor, text, text.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL), pointer, length)
                    == text.count
            }
        }
    }

    /// Whether systemd was told that the program is ready: it is one program, whoever tells.
    private static let isReadyTold = Atomic(false)

    /// The program is ready for the first time; answers whether that was taken.
    package func sendReady() -> Bool {
        guard self.send("READY=1") else { return false }
        Self.isReadyTold.store(true, ordering: .releasing)
        return true
    }

    /// The program has read its configuration again, or refused to; nothing where it was not ready before.
    package func sendReloaded() {
        if Self.isReadyTold.load(ordering: .acquiring) { self.send("READY=1") }
    }

    /// The program reads its configuration again; ``sendReloaded()`` is to follow.
    package func sendReloading() {
        guard Self.isReadyTold.load(ordering: .acquiring) else { return }
        // On Linux this clock is CLOCK_MONOTONIC.
        let microseconds = Int64(SuspendingClock().systemEpoch.duration(to: .now) / .microseconds(1))
        self.send("RELOADING=1", "MONOTONIC_USEC=\(microseconds)")
    }

    /// One assignment is one line.
    private static func line(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}

/// What is sent through, opened while there are descriptors: a program that has run out of them has to be heard all the more.
private final class NotificationSocket: Sendable {
    /// Below zero where there was none to be had; what is sent then is not taken.
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)

    deinit {
        if self.descriptor >= 0 { close(self.descriptor) }
    }
}
