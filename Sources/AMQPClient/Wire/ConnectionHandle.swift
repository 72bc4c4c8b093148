internal import CRabbitMQ
import Glibc

/// A connection of librabbitmq: its memory, its socket and, with TLS, its session.
///
/// `@unchecked Sendable`: the handle is opened by one thread and then handed to another; being `~Copyable` it has one
/// owner at any time, and librabbitmq keeps no state outside of it.
@safe struct ConnectionHandle: ~Copyable, @unchecked Sendable {
    private let raw: amqp_connection_state_t
    let descriptor: Int32
    let isSecure: Bool

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
        do throws(AMQPError) {
            if let tls {
                unsafe try TLSSocket.open(raw, to: host, tls, timeout: timeout, operation)
            } else {
                unsafe try Self.openPlain(raw, to: host, timeout: timeout, operation)
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
        self.isSecure = tls != nil
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
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

// MARK: Plain TCP

extension ConnectionHandle {
    /// Sends without waiting; nil when the socket takes nothing at present.
    borrowing func send(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Int? {
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
        while true {
            let count = unsafe recv(self.descriptor, space.baseAddress, space.count, Int32(MSG_DONTWAIT))
            if count > 0 { return count }
            if count == 0 {
                throw AMQPError(.connectionLost, operation: "reading", message: "the broker ended the stream")
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            case let number: throw Self.lost("reading", number)
            }
        }
    }

    private static func lost(_ operation: String, _ number: Int32) -> AMQPError {
        AMQPError(.connectionLost, operation: operation, message: systemMessage(number))
    }

    /// Whether the socket has room, asked before librabbitmq is told to write, which would wait for it.
    borrowing func isWritable() -> Bool {
        var descriptor = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&descriptor, 1, 0) > 0
    }

    /// Whether bytes wait at the socket: a sign of life even where they are only a heartbeat, which librabbitmq keeps to
    /// itself.
    borrowing func isReadable() -> Bool {
        var descriptor = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&descriptor, 1, 0) > 0
    }

    /// Makes the kernel give up on data that the peer does not take for so long; zero: never.
    borrowing func setWriteLimit(_ limit: Duration) {
        var milliseconds = UInt32(clamping: limit.wholeMilliseconds)
        // An old kernel without the option is no reason to fail: heartbeats notice a dead peer as well.
        _ = unsafe setsockopt(self.descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, 4)
    }
}

// MARK: TLS, by librabbitmq's own reading and writing

extension ConnectionHandle {
    /// Tells librabbitmq what was agreed.
    ///
    /// Its own heartbeats stay off: it would write them in the middle of ours.
    borrowing func tune(channelMax: Int, frameMax: Int) throws(AMQPError) {
        let status = unsafe amqp_tune_connection(self.raw, Int32(channelMax), Int32(frameMax), 0)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError.library(status: status, operation: "connection.tune")
        }
    }

    /// The next frame, or false when none is there.
    ///
    /// The frame's memory is librabbitmq's until ``release(channel:)``.
    borrowing func next(_ frame: inout amqp_frame_t) throws(AMQPError) -> Bool {
        var nothing = timeval()
        let status = unsafe amqp_simple_wait_frame_noblock(self.raw, &frame, &nothing)
        switch status {
        case AMQP_STATUS_OK.rawValue: return true
        case AMQP_STATUS_TIMEOUT.rawValue: return false
        default: throw AMQPError.library(status: status, operation: "reading")
        }
    }

    /// Gives the memory of a channel's frames back.
    borrowing func release(channel: UInt16) {
        unsafe amqp_maybe_release_buffers_on_channel(self.raw, channel)
    }

    /// Sends one frame and waits until the socket took it.
    borrowing func send(_ frame: inout amqp_frame_t) throws(AMQPError) {
        let status = unsafe amqp_send_frame(self.raw, &frame)
        guard status >= 0 else { throw AMQPError.library(status: status, operation: "writing") }
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
