import Foundation
import Testing

@testable import MessagingRabbitMQ

/// What oslo.messaging's own parser made of a URL (`Fixtures/transport_urls.json`).
private struct ParsedByPython: Decodable {
    struct Host: Decodable {
        let hostname: String
        let port: Int?
        let username: String?
        let password: String?
    }
    let transport: String
    let virtualHost: String?
    let hosts: [Host]
    let query: [String: String]

    static func all() throws -> [String: ParsedByPython] {
        struct File: Decodable {
            let transportUrls: [String: ParsedByPython]
        }
        let url = try #require(Bundle.module.url(forResource: "Fixtures/transport_urls", withExtension: "json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(File.self, from: Data(contentsOf: url)).transportUrls
    }
}

private func code(_ text: String) -> TransportURLError.Code? {
    do {
        _ = try TransportURL(parsing: text)
        return nil
    } catch {
        return error.code
    }
}

@Suite struct TransportURLTests {
    private static let guest = "amqp://guest:***@localhost:5672/%2F"

    // MARK: oslo's rules

    @Test func `wire contract 5.6: hosts, credentials and virtual hosts are those that Python's parser finds`() throws {
        let parsed = try ParsedByPython.all()
        var compared = 0
        for (text, expected) in parsed where expected.transport == "rabbit" && !text.contains("?") {
            let url = try TransportURL(parsing: text)
            // Python's driver fills in what its parser leaves out.
            let hosts =
                expected.hosts.isEmpty
                ? [.init(hostname: "localhost", port: nil, username: nil, password: nil)] : expected.hosts
            #expect(
                url.hosts
                    == hosts.map { host in
                        TransportURL.Host(
                            name: host.hostname,
                            port: host.port ?? 5672,
                            user: host.username.flatMap { $0.isEmpty ? nil : $0 } ?? "guest",
                            password: host.password ?? "guest"
                        )
                    },
                "\(text)"
            )
            let virtualHost = expected.virtualHost ?? ""
            #expect(url.virtualHost == (virtualHost.isEmpty ? "/" : virtualHost), "\(text)")
            #expect(!url.isTLS)
            compared += 1
        }
        #expect(compared >= 19)
    }

    @Test func `wire contract 5.6: what Python's parser takes but no driver of its can use is an error`() throws {
        #expect(code("h:1/v") == .scheme)
        #expect(code("kombu+memory:///") == .scheme)
        #expect(code("rabbit://h/v?nosuch=1") == .unknownOption)
        #expect(code("rabbit://h/v?a=1&a=2") == .unknownOption)
    }

    @Test func `an empty URL and bare schemes mean the broker on this machine`() throws {
        for text in [
            "", "rabbit://", "rabbit:///", "rabbit://,/", "RABBIT://", "amqp://", "amqp:///", "amqp://localhost",
        ] {
            #expect(try TransportURL(parsing: text).description == Self.guest, "\(text)")
        }
    }

    @Test func `wire contract 5.6: credentials belong to one host and are not inherited by the others`() throws {
        let url = try TransportURL(parsing: "rabbit://u:p@a:1,b,:2,x@y:q@c/v")
        #expect(
            url.hosts == [
                .init(name: "a", port: 1, user: "u", password: "p"),
                .init(name: "b", port: 5672, user: "guest", password: "guest"),
                .init(name: "localhost", port: 2, user: "guest", password: "guest"),
                .init(name: "c", port: 5672, user: "x@y", password: "q"),
            ]
        )
    }

    @Test func `wire contract 5.6: an encoded slash in a user or a password is taken, other than in Python`() throws {
        let host = try TransportURL(parsing: "rabbit://a%2Fb:c%2Fd%3F%23%2C@h/v%3Fw%23x").hosts[0]
        #expect(host.user == "a/b")
        #expect(host.password == "c/d?#,")
        #expect(try TransportURL(parsing: "rabbit://h/v%3Fw%23x").virtualHost == "v?w#x")
    }

    @Test func `a percent sign that encodes nothing stays in rabbit and is refused in amqp`() throws {
        #expect(try TransportURL(parsing: "rabbit://u:100%@h/v").hosts[0].password == "100%")
        #expect(try TransportURL(parsing: "rabbit://u:100%zz%4@h/v").hosts[0].password == "100%zz%4")
        #expect(code("amqp://u:100%@h/v") == .encoding)
        #expect(code("rabbit://u:%FF@h/v") == .encoding)
        #expect(try TransportURL(parsing: "rabbit://u:%C3%BC@h/%E6%97%A0").hosts[0].password == "ü")
    }

    @Test func `wire contract 5.6: IPv6 addresses stand in brackets, or without them where no port follows`() throws {
        let url = try TransportURL(parsing: "rabbit://u:p@[::1]:1,[fe80::2],fe80::3/v")
        #expect(url.hosts.map(\.name) == ["::1", "fe80::2", "fe80::3"])
        #expect(url.hosts.map(\.port) == [1, 5672, 5672])
        #expect(url.description == "amqp://u:***@[::1]:1,guest:***@[fe80::2]:5672,guest:***@[fe80::3]:5672/v")
        for text in ["rabbit://[::1/v", "rabbit://[]/v", "rabbit://[::1]5672/v"] { #expect(code(text) == .host) }
    }

    // Found by fuzzing.
    @Test(arguments: [
        "rabbit://u:p@[::1]:1,0::2]/v", "rabbit://[fe80::1%25eth0]/v", "rabbit://a%b/", "amqp://a%40b%2C[/",
    ])
    func `what describes a URL is read as the same hosts, whatever they are called`(_ text: String) throws {
        let url = try TransportURL(parsing: text)
        let again = try TransportURL(parsing: url.description)
        #expect(again.hosts.map(\.name) == url.hosts.map(\.name))
        #expect(again.hosts.map(\.port) == url.hosts.map(\.port))
    }

    @Test(arguments: ["h:0", "h:65536", "h:", "h:x", "h:-1", "h:+1", "h:99999999999999999999"])
    func `a port that is none is an error`(_ authority: String) {
        #expect(code("rabbit://\(authority)/v") == .host)
        #expect(code("amqp://\(authority)/v") == .host)
    }

    // MARK: RabbitMQ's URI specification

    @Test func `amqp URIs are read as the specification's examples say`() throws {
        let full = try TransportURL(parsing: "amqp://user%61:%61pass@ho%61st:10000/v%2fhost")
        #expect(full.hosts == [.init(name: "hoast", port: 10000, user: "usera", password: "apass")])
        #expect(full.virtualHost == "v/host")
        #expect(
            try TransportURL(parsing: "amqp://:@/").hosts == [
                .init(name: "localhost", port: 5672, user: "", password: "")
            ]
        )
        #expect(try TransportURL(parsing: "amqp://user@").hosts[0].user == "user")
        #expect(try TransportURL(parsing: "amqp://host/%2F").virtualHost == "/")
        #expect(try TransportURL(parsing: "amqp://[::1]").hosts[0].name == "::1")
        #expect(code("amqp://host/a/b") == .virtualHost)
        #expect(code("amqp://host//") == .virtualHost)
    }

    @Test func `an empty path is the default virtual host in amqp URIs as well`() throws {
        #expect(try TransportURL(parsing: "amqp://host/").virtualHost == "/")
    }

    @Test func `a virtual host longer than AMQP can carry is an error`() {
        #expect(code("rabbit://h/" + String(repeating: "v", count: 255)) == nil)
        #expect(code("rabbit://h/" + String(repeating: "v", count: 256)) == .virtualHost)
    }

    // MARK: TLS

    @Test func `TLS comes with amqps or with the option, and only amqps has a port of its own`() throws {
        let uri = try TransportURL(parsing: "amqps://a,b:1")
        #expect(uri.isTLS)
        #expect(uri.hosts.map(\.port) == [5671, 1])
        let option = try TransportURL(parsing: "rabbit://h/v?ssl=1&ssl_ca_file=/etc/ca.pem")
        #expect(option.isTLS)
        #expect(option.hosts[0].port == 5672)
        #expect(option.options == ["ssl_ca_file": "/etc/ca.pem"])
        #expect(try !TransportURL(parsing: "rabbit://h/v?ssl=no").isTLS)
        #expect(code("amqps://h/?ssl=false") == .invalidOption)
        #expect(code("rabbits://h/v") == .scheme)
    }

    // MARK: Options

    @Test func `wire contract 5.6: options are typed and come in one form`() throws {
        let url = try TransportURL(
            parsing: "rabbit://h/v?rabbit_quorum_queue=Yes&rabbit_qos_prefetch_count=016&amqp_auto_delete=off"
                + "&rabbit_login_method=amqplain&rabbit_transient_queues_ttl=0&ssl_ca_file=%2Fa+b%2Bc.pem"
                + "&amqp_durable_queues="
        )
        #expect(url.flag("rabbit_quorum_queue") == true)
        #expect(url.flag("amqp_auto_delete") == false)
        #expect(url.flag("amqp_durable_queues") == nil)
        #expect(url.integer("rabbit_qos_prefetch_count") == 16)
        #expect(url.integer("rabbit_transient_queues_ttl") == 0)
        #expect(url.options["rabbit_login_method"] == "AMQPLAIN")
        #expect(url.options["ssl_ca_file"] == "/a b+c.pem")
        #expect(url.optionsWithoutEffect.isEmpty)
    }

    @Test(arguments: [
        "rabbit_quorum_queue=maybe", "rabbit_qos_prefetch_count=-1", "rabbit_qos_prefetch_count=70000",
        "heartbeat_timeout_threshold=1.5", "kombu_compression=zip", "ssl=1&ssl=1", "kombu_reconnect_delay=nan",
        "rabbit_transient_queues_ttl=2147484",
    ])
    func `a value of the wrong type or range is an error`(_ query: String) {
        #expect(code("rabbit://h/v?\(query)") == .invalidOption)
    }

    @Test(arguments: [
        "rabbit_login_method=RABBIT-CR-DEMO", "ssl_version=SSLv2", "ssl_version=SSLv3",
    ])
    func `wire contract 2.1, 5.7: what this library does not speak is refused`(_ query: String) {
        #expect(code("rabbit://h/v?\(query)") == .unsupportedOption)
    }

    @Test func `options that tune Python's own machinery are taken and named`() throws {
        let url = try TransportURL(
            parsing: "rabbit://h/v?rpc_conn_pool_size=5&heartbeat_rate=2&conn_pool_ttl=10&conn_pool_min_size=1"
                + "&ssl_enforce_fips_mode=1&ssl_enforce_hostname_verification=0"
        )
        let names = ["conn_pool_min_size", "conn_pool_ttl", "rpc_conn_pool_size"]
        #expect(
            url.optionsWithoutEffect
                == (names + ["ssl_enforce_fips_mode", "ssl_enforce_hostname_verification"])
        )
    }

    @Test func `amqp URIs may name options as RabbitMQ does`() throws {
        let url = try TransportURL(parsing: "amqps://h?cacertfile=/ca.pem&heartbeat=10")
        #expect(url.options == ["ssl_ca_file": "/ca.pem", "heartbeat_timeout_threshold": "10"])
        #expect(code("rabbit://h?cacertfile=/ca.pem") == .unknownOption)
    }

    // MARK: Secrets

    @Test func `passwords show up in no description`() throws {
        let url = try TransportURL(
            parsing: "rabbit://us%40er:s3cret@h:1,s3cret:s3cret2@b/v%2Fw?ssl=1&rabbit_quorum_queue=1"
        )
        #expect(url.description == "amqps://us%40er:***@h:1,s3cret:***@b:5672/v%2Fw?rabbit_quorum_queue=true")
        var dumped = ""
        dump(url, to: &dumped)
        dump(url.hosts[0], to: &dumped)
        for text in [dumped, String(reflecting: url), "\(url.hosts)", "\(Optional(url.hosts[1]) as Any)"] {
            #expect(!text.contains("s3cret2"))
            #expect(!text.contains("r:s3cret@"))
        }
        #expect(!dumped.contains("\"s3cret2\""))
    }

    @Test(arguments: [
        "rabbit://u:s3cret/x@h/v", "rabbit://u:s3cret?x@h/v", "rabbit://u:x?s3cret@h/v", "rabbit://u:x#s3cret@h/v",
        "rabbit://u:s3cret,x@h/v", "rabbit://u:12/x?s3cret@h/v", "amqp://u:s3cret%@h", "amqp://u:%FFs3cret@h",
        "s3cret://u:p@h", "rabbit://u:s3cret x@h/v", "rabbit:u:s3cret@h",
    ])
    func `an error repeats nothing of a password, even where it was not encoded`(_ text: String) throws {
        do {
            _ = try TransportURL(parsing: text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(!"\(error)".contains("s3cret"))
            #expect("\(error)".hasPrefix("transport URL: "))
        }
    }
}
