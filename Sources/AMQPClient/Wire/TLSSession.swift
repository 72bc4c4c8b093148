internal import CRabbitMQ
import Glibc

/// The TLS session of a connection, by which bytes are read and written.
///
/// librabbitmq itself would wait for the socket while it writes; meanwhile nothing would be read and no deadline kept.
///
/// The session is librabbitmq's, and lives as long as the ``ConnectionHandle`` that holds this; it is used by one thread at
/// a time.
@safe struct TLSSession {
    private let raw: OpaquePointer

    init(_ raw: OpaquePointer) {
        unsafe self.raw = raw
    }

    /// Whether bytes were decrypted and wait to be read.
    var hasBufferedInput: Bool { unsafe SSL_pending(self.raw) > 0 }

    /// Encrypts and sends without waiting: nil when the socket takes nothing at present.
    func write(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Int? {
        ERR_clear_error()
        let count = unsafe SSL_write(self.raw, bytes.baseAddress, Int32(clamping: bytes.count))
        return count > 0 ? Int(count) : try self.check(count, "writing")
    }

    /// Receives and decrypts without waiting, as much as fits and is there; nil when that is nothing.
    func read(into space: UnsafeMutableRawBufferPointer) throws(AMQPError) -> Int? {
        var total = 0
        while total < space.count {
            ERR_clear_error()
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: space[total...])
            // One record at most at a time.
            let count = unsafe SSL_read(self.raw, rest.baseAddress, Int32(clamping: rest.count))
            if count > 0 {
                total += Int(count)
            } else if total > 0 {
                // If it is an error, it is there the next time as well.
                return total
            } else {
                return try self.check(count, "reading")
            }
        }
        return total
    }

    /// Nil for "not at present", an error for everything else.
    private func check(_ result: Int32, _ operation: String) throws(AMQPError) -> Int? {
        let number = errno
        switch unsafe SSL_get_error(self.raw, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return nil
        case SSL_ERROR_ZERO_RETURN: throw ConnectionHandle.ended()
        case SSL_ERROR_SYSCALL where number == 0: throw ConnectionHandle.ended()
        case SSL_ERROR_SYSCALL:
            throw AMQPError(.connectionLost, operation: operation, message: systemMessage(number))
        default: throw AMQPError(.connectionLost, operation: operation, message: "TLS: \(TLSSocket.libraryMessage())")
        }
    }
}
