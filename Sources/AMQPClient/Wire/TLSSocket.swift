internal import CRabbitMQ
import Glibc

/// Opens librabbitmq's TLS socket with the verification that the configuration asks for.
enum TLSSocket {
    /// What OpenSSL's callbacks see of a handshake.
    @safe private final class Handshake {
        /// Why the certificate was refused.
        var refusal: String?
        /// The session, which librabbitmq makes and keeps to itself.
        var session: TLSSession?
    }

    static func open(
        _ raw: amqp_connection_state_t,
        to host: AMQPConfiguration.Host,
        _ tls: AMQPConfiguration.TLS,
        timeout: Duration,
        _ operation: String
    ) throws(AMQPError) -> TLSSession {
        guard let socket = unsafe amqp_ssl_socket_new(raw), let opaque = unsafe amqp_ssl_socket_get_context(socket)
        else { throw AMQPError.library(status: AMQP_STATUS_SSL_ERROR.rawValue, operation: operation) }
        let context = OpaquePointer(opaque)
        unsafe try Self.configure(socket, context, tls, operation)
        unsafe try Self.expect(tls.verifiesHostName ? tls.serverName ?? host.name : nil, context, operation)

        let handshake = Handshake()
        let unmanaged = unsafe Unmanaged.passUnretained(handshake)
        unsafe SSL_CTX_set_ex_data(context, 0, unmanaged.toOpaque())
        unsafe SSL_CTX_set_info_callback(context) { (session, _, _) in
            guard let handshake = unsafe TLSSocket.handshake(of: session) else { return }
            handshake.session = unsafe session.map { unsafe TLSSession($0) }
        }
        let verify: @convention(c) (Int32, OpaquePointer?) -> Int32 = { accepted, store in
            if accepted == 0 {
                unsafe TLSSocket.note(refusalIn: store)
            }
            return accepted
        }
        // The library's own checks would come too late (after the handshake) and know no reason.
        unsafe amqp_ssl_socket_set_verify_peer(socket, 0)
        unsafe amqp_ssl_socket_set_verify_hostname(socket, 0)
        unsafe SSL_CTX_set_verify(context, tls.verifiesPeer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify)

        var limit = timeval(timeout)
        errno = 0
        let status = unsafe amqp_socket_open_noblock(socket, host.name, Int32(host.port), &limit)
        let number = errno
        // From here on nothing of the handshake must be found any more.
        unsafe SSL_CTX_set_info_callback(context, nil)
        unsafe SSL_CTX_set_ex_data(context, 0, nil)
        let (refusal, session) = withExtendedLifetime(handshake) { (handshake.refusal, handshake.session) }
        if status == AMQP_STATUS_OK.rawValue {
            guard let session else {
                throw AMQPError(.tlsFailed, operation: operation, message: "the TLS library told of no session")
            }
            return session
        }
        if let refusal {
            throw AMQPError(
                .tlsFailed,
                operation: operation,
                message: "the broker's certificate is refused: \(refusal)"
            )
        }
        switch status {
        case AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue, AMQP_STATUS_SSL_ERROR.rawValue:
            throw AMQPError(
                .tlsFailed,
                operation: operation,
                message: "the TLS handshake failed: \(Self.libraryMessage())",
                // A broker that is just starting cuts handshakes off, too.
                isRetriable: true
            )
        default:
            throw ConnectionHandle.connectFailure(status: status, number: number, operation)
        }
    }

    private static func configure(
        _ socket: OpaquePointer,
        _ context: OpaquePointer,
        _ tls: AMQPConfiguration.TLS,
        _ operation: String
    ) throws(AMQPError) {
        func check(_ status: Int32, _ what: String) throws(AMQPError) {
            guard status != 1 else { return }
            throw AMQPError(
                .tlsFailed,
                operation: operation,
                message: "\(what) cannot be used: \(Self.libraryMessage())"
            )
        }
        ERR_clear_error()
        // Macros over these calls: 33 is SSL_CTRL_MODE. What the socket does not take is offered again, from wherever the
        // buffer has moved to; and a write never has to wait for input, which renegotiation would need.
        let mode = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
        _ = unsafe SSL_CTX_ctrl(context, 33, Int(mode), nil)
        _ = unsafe SSL_CTX_set_options(context, 1 << 30)
        // SSL_CTX_set_min_proto_version is a macro over this call; 123 is SSL_CTRL_SET_MIN_PROTO_VERSION.
        try check(Int32(unsafe SSL_CTX_ctrl(context, 123, tls.minimumVersion.number, nil)), "this version of TLS")
        if let caFile = tls.caFile {
            try check(unsafe SSL_CTX_load_verify_locations(context, caFile, nil), "the authorities in '\(caFile)'")
        } else {
            try check(unsafe SSL_CTX_set_default_verify_paths(context), "the system's authorities")
        }
        if let certificateFile = tls.certificateFile, let keyFile = tls.keyFile {
            // An empty passphrase, so that an encrypted key fails instead of asking at the terminal.
            unsafe amqp_ssl_socket_set_key_passwd(socket, "")
            try check(
                unsafe SSL_CTX_use_certificate_chain_file(context, certificateFile),
                "the certificate in '\(certificateFile)'"
            )
            try check(
                unsafe SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM),
                "the key in '\(keyFile)'"
            )
        }
    }

    /// Has OpenSSL itself check the name or address that the certificate must bear.
    private static func expect(_ name: String?, _ context: OpaquePointer, _ operation: String) throws(AMQPError) {
        guard let name else { return }
        let parameters = unsafe SSL_CTX_get0_param(context)
        if unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
        guard unsafe X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 else {
            throw AMQPError(.tlsFailed, operation: operation, message: "'\(name)' is not a name to verify")
        }
    }

    private static func note(refusalIn store: OpaquePointer?) {
        let reason = unsafe X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(store)))
        let index = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard let reason = unsafe reason, let session = unsafe X509_STORE_CTX_get_ex_data(store, index),
            let handshake = unsafe Self.handshake(of: OpaquePointer(session))
        else { return }
        handshake.refusal = unsafe String(cString: reason)
    }

    private static func handshake(of session: OpaquePointer?) -> Handshake? {
        guard let context = unsafe SSL_get_SSL_CTX(session), let handshake = unsafe SSL_CTX_get_ex_data(context, 0)
        else { return nil }
        return unsafe Unmanaged<Handshake>.fromOpaque(handshake).takeUnretainedValue()
    }

    /// OpenSSL's words for what went wrong last on this thread.
    static func libraryMessage() -> String {
        let code = ERR_peek_last_error()
        guard code != 0, let reason = unsafe ERR_reason_error_string(code) else {
            return "the broker ended it, or does not speak TLS on this port"
        }
        return unsafe String(cString: reason)
    }
}
