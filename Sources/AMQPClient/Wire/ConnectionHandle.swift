internal import CRabbitMQ
import Glibc

/// A connection of librabbitmq: its memory, its socket and, with TLS, its session.
///
/// `@unchecked Sendable`: the handle is opened by one thread and then handed to another; being `~Copyable` it has one
/// owner at any time, and librabbitmq keeps no state outside of it.
@safe struct ConnectionHandle: ~Copyable, @unchecked Sendable {
    private let raw: amqp_connection_state_t
    let descriptor: Int32
    /// The TLS session, which is librabbitmq's; `nil` for plain TCP.
    private let session: TLSSession?
    var isSecure: Bool { self.session != nil }

    /// Resolves the name, connects, and with TLS shakes hands.
    ///
    /// Blocks, at most for `timeout` after the name is known.
    init(
        connectingTo host: AMQPConfiguration.Host,
        tls: AMQPConfiguration.TLS?,
        timeout: Duration
    ) throws(AMQPError) {
        let operation = "connecting to \(host.name):\(host.port)"
        guard let raw = unsafe amqp_new_connection() else {
            throw AMQPError.library(status: AMQP_STATUS_NO_MEMORY.rawValue, operation: operation)
        }
        let session: TLSSession?
        do throws(AMQPError) {
            if let tls {
                session = unsafe try TLSSocket.open(raw, to: host, tls, timeout: timeout, operation)
            } else {
                unsafe try Self.openPlain(raw, to: host, timeout: timeout, operation)
                session = nil
            }
            // Eight octets into the empty buffer of a fresh socket: this cannot block.
            let status = unsafe amqp_send_header(raw)
            guard status >= 0 else { throw AMQPError.library(status: status, operation: operation) }
        } catch {
            unsafe amqp_destroy_connection(raw)
            throw error
        }
        unsafe self.raw = raw
        self.descriptor = unsafe amqp_get_sockfd(raw)
        self.session = session
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
        // It is so already; reading and writing rely on it.
        _ = fcntl(self.descriptor, F_SETFL, fcntl(self.descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit {
        // Makes sure that saying good-bye (TLS) cannot wait for the peer.
        shutdown(self.descriptor, Int32(SHUT_RDWR))
        unsafe amqp_destroy_connection(self.raw)
    }

    private static func openPlain(
        _ raw: amqp_connection_state_t,
        to host: AMQPConfiguration.Host,
        timeout: Duration,
        _ operation: String
    ) throws(AMQPError) {
        guard let socket = unsafe amqp_tcp_socket_new(raw) else {
            throw AMQPError.library(status: AMQP_STATUS_NO_MEMORY.rawValue, operation: operation)
        }
        var limit = timeval(timeout)
        errno = 0
        let status = unsafe amqp_socket_open_noblock(socket, host.name, Int32(host.port), &limit)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw Self.connectFailure(status: status, number: errno, operation)
        }
    }

    static func connectFailure(status: Int32, number: Int32, _ operation: String) -> AMQPError {
        let reason =
            switch status {
            case AMQP_STATUS_TIMEOUT.rawValue: "no answer in time"
            case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED.rawValue: "the host name cannot be resolved"
            case AMQP_STATUS_SOCKET_ERROR.rawValue where number == EINPROGRESS || number == 0:
                // The library keeps to itself what became of the attempt it was waiting for.
                "the connection was refused, or the host cannot be reached"
            default: number == 0 ? unsafe String(cString: amqp_error_string2(status)) : systemMessage(number)
            }
        return AMQPError(.connectFailed, operation: operation, message: reason)
    }
}

// MARK: Reading and writing

extension ConnectionHandle {
    /// Sends without waiting; nil when the socket takes nothing at present.
    ///
    /// What was not taken must be offered again as it was: under TLS it may be encrypted already.
    borrowing func send(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Int? {
        if let session { return unsafe try session.write(bytes) }
        while true {
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = unsafe Glibc.send(self.descriptor, bytes.baseAddress, bytes.count, flags)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            case let number: throw Self.lost("writing", number)
            }
        }
    }

    /// Receives without waiting; nil when nothing is there.
    borrowing func receive(_ space: UnsafeMutableRawBufferPointer) throws(AMQPError) -> Int? {
        if let session { return unsafe try session.read(into: space) }
        while true {
            let count = unsafe recv(self.descriptor, space.baseAddress, space.count, Int32(MSG_DONTWAIT))
            if count > 0 { return count }
            if count == 0 { throw Self.ended() }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            case let number: throw Self.lost("reading", number)
            }
        }
    }

    static func ended() -> AMQPError {
        AMQPError(.connectionLost, operation: "reading", message: "the broker ended the stream")
    }

    private static func lost(_ operation: String, _ number: Int32) -> AMQPError {
        AMQPError(.connectionLost, operation: operation, message: systemMessage(number))
    }

    /// Whether bytes were read from the socket and decrypted, and wait to be received.
    borrowing func hasBufferedInput() -> Bool {
        self.session?.hasBufferedInput ?? false
    }

    /// Whether bytes wait at the socket: a sign of life, even where they are only a part of what TLS needs to decrypt
    /// anything.
    borrowing func isReadable() -> Bool {
        var descriptor = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&descriptor, 1, 0) > 0
    }
}

/// The system's words for an error number.
func systemMessage(_ number: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    guard unsafe strerror_r(number, &text, text.count) == 0 else { return "error \(number)" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

extension timeval {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = max(duration, .zero).components
        self.init(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
