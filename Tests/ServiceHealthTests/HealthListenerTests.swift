import Glibc
import Testing

@testable import ServiceHealth

/// The small HTTP surface, over real sockets.
@Suite(.timeLimit(.minutes(1))) struct HealthListenerTests {
    private static func with(_ body: (Int) async throws -> Void) async throws {
        let listener = try HealthListener(address: ("127.0.0.1", 0), tick: {}) { request in
            request.path == "/livez" ? HTTPResponse(.ok, "ok\n") : HTTPResponse(.notFound)
        }
        try listener.start()
        defer { listener.stop() }
        try await body(try #require(listener.port))
    }

    @Test func `a path is answered, its query does not count, and another one is not found`() async throws {
        try await Self.with { port in
            let answer = try #require(await get(port, "/livez?verbose=1"))
            #expect(answer.status == 200)
            #expect(answer.body == "ok\n")
            #expect(answer.head.contains("Content-Length: 3\r\n"))
            #expect(await get(port, "/")?.status == 404)
        }
    }

    @Test func `HEAD is answered as GET without a body, and other methods are refused`() async throws {
        try await Self.with { port in
            let head = try #require(await exchange(port, Array("HEAD /livez HTTP/1.0\r\n\r\n".utf8)))
            #expect(head.status == 200)
            #expect(head.head.contains("Content-Length: 3"))
            #expect(head.body.isEmpty)
            let post = "POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
            let refused = try #require(await exchange(port, Array(post.utf8)))
            #expect(refused.status == 405)
            #expect(refused.head.contains("Allow: GET, HEAD"))
        }
    }

    @Test func `what is no request is refused, and too long a head as well`() async throws {
        try await Self.with { port in
            #expect(await exchange(port, Array("hello\n\n".utf8))?.status == 400)
            #expect(await exchange(port, [0, 255, 10, 13, 10])?.status == 400)
            #expect(await exchange(port, Array("GET livez HTTP/1.1\r\n\r\n".utf8))?.status == 400)
            #expect(await exchange(port, Array("GET / HTTP/2.0\r\n\r\n".utf8))?.status == 505)
            let long = "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 9000))\r\n\r\n"
            #expect(await exchange(port, Array(long.utf8))?.status == 431)
        }
    }

    @Test func `a head may come in pieces`() async throws {
        try await Self.with { port in
            let descriptor = try #require(connectNow(port))
            defer { close(descriptor) }
            for piece in ["\r\nGE", "T /liv", "ez HTTP/1.1\r", "\nA: b\r\n", "\r\n"] {
                _ = send(descriptor, piece, piece.utf8.count, 0)
                try await Task.sleep(for: .milliseconds(20))
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            #expect(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self).hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    @Test func `connections that say nothing keep no probe out, and are closed`() async throws {
        try await Self.with { port in
            var silent: [Int32] = []
            defer { for descriptor in silent { close(descriptor) } }
            for _ in 0..<(HealthListener.maximumConnections + 8) { silent.append(try #require(connectNow(port))) }
            #expect(await get(port, "/livez")?.status == 200)
            // The oldest has made room.
            var byte: UInt8 = 0
            #expect(recv(silent[0], &byte, 1, 0) == 0)
            // The youngest is closed when its time is over.
            #expect(recv(silent[silent.count - 1], &byte, 1, 0) == 0)
        }
    }

    @Test func `a process without free descriptors answers all the same`() async {
        // In a process of its own: the limit is that of a process.
        await #expect(processExitsWith: .success) {
            let listener = try HealthListener(address: ("127.0.0.1", 0), tick: {}) { _ in HTTPResponse(.ok, "ok\n") }
            try listener.start()
            let port = try #require(listener.port)
            // Before the others: what connects later must have its descriptor already.
            let sockets = (0..<5).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
            var limits = rlimit()
            try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
            limits.rlim_cur = 256
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0)
            while open("/dev/null", O_RDONLY) >= 0 {}
            try #require(errno == EMFILE)
            for descriptor in sockets {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = UInt16(port).bigEndian
                address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
                let isConnected = withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    }
                }
                #expect(isConnected)
                let request = "GET /livez HTTP/1.1\r\n\r\n"
                _ = send(descriptor, request, request.utf8.count, 0)
                var buffer = [UInt8](repeating: 0, count: 4096)
                let count = recv(descriptor, &buffer, buffer.count, 0)
                #expect(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self).hasPrefix("HTTP/1.1 200 OK\r\n"))
            }
        }
    }

    @Test func `an address that is none, and a port that is taken, are said`() throws {
        let no = #expect(throws: HealthListener.Failure.self) {
            _ = try HealthListener(address: ("localhost.example", 0), tick: {}) { _ in HTTPResponse(.ok) }
        }
        #expect(no?.description == "'localhost.example' is no IP address")
        let first = try HealthListener(address: ("::1", 0), tick: {}) { _ in HTTPResponse(.ok) }
        try first.start()
        defer { first.stop() }
        let port = try #require(first.port)
        let taken = #expect(throws: HealthListener.Failure.self) {
            _ = try HealthListener(address: ("::1", port), tick: {}) { _ in HTTPResponse(.ok) }
        }
        #expect(taken?.description.contains("Address already in use") == true)
    }

    @Test func `who gives no beat for too long stands still, by the seconds that were seen`() {
        let liveness = Liveness(limit: .seconds(2))
        liveness.beat("a thread")
        liveness.tick()
        liveness.tick()
        #expect(liveness.complaints.isEmpty)
        liveness.tick()
        #expect(liveness.complaints == ["a thread has done nothing for 3 s"])
        liveness.beat("a thread")
        #expect(liveness.complaints.isEmpty)
    }

    @Test func `labels are escaped, and a histogram ends with all`() {
        var text = PrometheusText()
        text.family("a_seconds", .histogram, "What it is.")
        text.histogram(
            "a_seconds",
            [("method", "a\"b\\c\nd")],
            bounds: [0.25],
            counts: [2],
            count: 3,
            sum: 1.5
        )
        let label = #"method="a\"b\\c\nd""#
        #expect(
            text.text == """
                # HELP a_seconds What it is.
                # TYPE a_seconds histogram
                a_seconds_bucket{\(label),le="0.25"} 2
                a_seconds_bucket{\(label),le="+Inf"} 3
                a_seconds_sum{\(label)} 1.5
                a_seconds_count{\(label)} 3

                """
        )
    }
}
