internal import CRabbitMQ
import Glibc

/// Opens librabbitmq's TLS socket with the verification that the configuration asks for.
enum TLSSocket {
    /// Why OpenSSL refused the certificate, as its verification callback saw it.
    private final class Verdict {
        var refusal: String?
    }

    static func open(
        _ raw: amqp_connection_state_t,
        to host: AMQPConfiguration.Host,
        _ tls: AMQPConfiguration.TLS,
        timeout: Duration,
        _ operation: String
    ) throws(AMQPError) {
        guard let socket = unsafe amqp_ssl_socket_new(raw), let opaque = unsafe amqp_ssl_socket_get_context(socket)
        else { throw AMQPError.library(status: AMQP_STATUS_SSL_ERROR.rawValue, operation: operation) }
        let context = OpaquePointer(opaque)
        unsafe try Self.configure(socket, context, tls, operation)
        unsafe try Self.expect(tls.verifiesHostName ? tls.serverName ?? host.name : nil, context, operation)

        let verdict = Verdict()
        let unmanaged = unsafe Unmanaged.passUnretained(verdict)
        unsafe SSL_CTX_set_ex_data(context, 0, unmanaged.toOpaque())
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
        // From here on the callback must not find the verdict any more.
        unsafe SSL_CTX_set_ex_data(context, 0, nil)
        guard status != AMQP_STATUS_OK.rawValue else { return }
        if let refusal = withExtendedLifetime(verdict, { verdict.refusal }) {
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
            let context = unsafe SSL_get_SSL_CTX(OpaquePointer(session)),
            let verdict = unsafe SSL_CTX_get_ex_data(context, 0)
        else { return }
        unsafe Unmanaged<Verdict>.fromOpaque(verdict).takeUnretainedValue().refusal = unsafe String(cString: reason)
    }

    /// OpenSSL's words for what went wrong last on this thread.
    private static func libraryMessage() -> String {
        let code = ERR_peek_last_error()
        guard code != 0, let reason = unsafe ERR_reason_error_string(code) else {
            return "the broker ended it, or does not speak TLS on this port"
        }
        return unsafe String(cString: reason)
    }
}
