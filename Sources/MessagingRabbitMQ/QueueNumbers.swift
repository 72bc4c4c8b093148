internal import Glibc
internal import Messaging
internal import Synchronization

/// The numbers in the stable names of queues, `reply_HOST:PROCESS:N` (`use_queue_manager`, wire contract 1.3).
///
/// The lowest number that no process of this host and name holds is taken, and it is free again when the queue is let go
/// or its process has ended, however it did. So a service that starts again finds its queues, and two that run at the
/// same time never share one. (oslo counts in a file and begins anew with each group of processes: two services of one
/// name then take the same numbers, and with them each other's replies.)
///
/// A number is a lock on one byte of a file in shared memory; the kernel keeps the books.
struct QueueNumbers: Sendable {
    private let identity: String
    private let path: String

    /// - Parameters:
    ///   - host: The host's name.
    ///   - process: The service's name.
    ///   - directory: Where the file lies that all of them share.
    init(host: String, process: String, directory: String = "/dev/shm") {
        self.identity = "\(host):\(process)"
        // Whatever is in the names, it must stay one file in this folder.
        let name = self.identity.utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                String(UnicodeScalar(byte))
            default: "=" + String(byte, radix: 16)
            }
        }
        self.path = "\(directory)/steward_queues_\(name.joined().prefix(200))"
    }

    /// Takes the lowest free number.
    func take() throws(RPCError) -> Lease {
        let descriptor = try self.open()
        for number in 1...Self.maximum {
            var lock = flock()
            lock.l_type = Int16(F_WRLCK)
            lock.l_whence = Int16(SEEK_SET)
            lock.l_start = off_t(number)
            lock.l_len = 1
            if fcntl(descriptor, Self.setLock, &lock) == 0 {
                return Lease(descriptor: descriptor, suffix: "\(self.identity):\(number)")
            }
            guard errno == EAGAIN || errno == EACCES else { break }
        }
        let number = errno
        close(descriptor)
        throw self.failure("no number for a queue could be locked", number)
    }

    private static let maximum = 65_535

    /// `F_OFD_SETLK`, which the module of the C library leaves out: a lock that belongs to the open file and not to the
    /// process, so that two transports of one process exclude each other as well.
    private static let setLock: Int32 = 37

    /// Opens the file, and makes it where it is missing: for every user, since any may run a service of this name.
    private func open() throws(RPCError) -> Int32 {
        for _ in 1...3 {
            let existing = Glibc.open(self.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            if existing >= 0 { return existing }
            guard errno == ENOENT else { break }
            let made = Glibc.open(self.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0o666)
            if made >= 0 {
                // Past the umask. It fails for nobody but the file's owner, who is this process.
                fchmod(made, 0o666)
                return made
            }
            // Another process was quicker.
            guard errno == EEXIST else { break }
        }
        throw self.failure("the file that numbers queues cannot be opened", errno)
    }

    private func failure(_ what: String, _ number: Int32) -> RPCError {
        RPCError(
            .misconfigured,
            "\(what): \(self.path): \(String(cString: strerror(number))); "
                + "give the service another processname, or leave use_queue_manager out"
        )
    }

    /// A number that is held, until it is released or forgotten.
    final class Lease: Sendable {
        /// What the queue's name ends with.
        let suffix: String
        private let descriptor: Mutex<Int32?>

        fileprivate init(descriptor: Int32, suffix: String) {
            self.suffix = suffix
            self.descriptor = Mutex(descriptor)
        }

        /// Lets the number go; a second time nothing happens.
        func release() {
            let descriptor = self.descriptor.withLock { descriptor in
                defer { descriptor = nil }
                return descriptor
            }
            if let descriptor { close(descriptor) }
        }

        deinit {
            self.release()
        }
    }
}
