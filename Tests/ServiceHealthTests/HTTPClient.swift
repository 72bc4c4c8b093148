import FaultHarness
import Foundation
import Glibc

/// What a probe sees: the status, and the body.
struct Answer: Equatable, Sendable {
    var status: Int
    var head: String
    var body: String

    /// The body as JSON.
    var json: [String: Any]? {
        // A body that is no JSON is none.
        (try? JSONSerialization.jsonObject(with: Data(self.body.utf8))) as? [String: Any]
    }
}

/// Sends bytes to a port of loopback and reads to the end, on a thread of its own; `nil` where nothing came.
func exchange(_ port: Int, _ bytes: [UInt8]) async -> Answer? {
    await withCheckedContinuation { continuation in
        PosixThread.detach { continuation.resume(returning: exchangeNow(port, bytes)) }
    }
}

/// Asks for a path, as a probe does.
func get(_ port: Int, _ path: String) async -> Answer? {
    await exchange(port, Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
}

/// As ``get(_:_:)``, on the thread of the caller.
func getNow(_ port: Int, _ path: String) -> Answer? {
    exchangeNow(port, Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
}

private func exchangeNow(_ port: Int, _ bytes: [UInt8]) -> Answer? {
    guard let descriptor = connectNow(port) else { return nil }
    defer { close(descriptor) }
    _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { break }
        all += buffer.prefix(count)
    }
    let text = String(decoding: all, as: UTF8.self)
    guard let end = text.range(of: "\r\n\r\n") else { return nil }
    let head = String(text[..<end.lowerBound])
    let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return Answer(status: status ?? 0, head: head, body: String(text[end.upperBound...]))
}

/// A connection to a port of loopback, which waits 10 s for anything at most.
func connectNow(_ port: Int) -> Int32? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    let isConnected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    guard isConnected else {
        close(descriptor)
        return nil
    }
    return descriptor
}

/// A port of loopback that was free a moment ago.
func freePort() throws -> Int {
    let (descriptor, port) = try Loopback.listen()
    close(descriptor)
    return port
}
