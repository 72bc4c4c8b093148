import Testing

@testable import AMQPClient

@Suite struct URLTests {
    @Test func `a full URL gives every part`() throws {
        let configuration = try AMQPConfiguration(
            url: "amqp://us%40er:p%3Aa%2Fss@broker.example:5673/v%2Fhost?heartbeat=30&connection_timeout=2500"
                + "&channel_max=100&frame_max=8192&connection_name=worker&auth_mechanism=external"
        )
        #expect(configuration.hosts.map { $0.name } == ["broker.example"])
        #expect(configuration.hosts.first?.port == 5673)
        #expect(configuration.hosts.first?.user == "us@er")
        #expect(configuration.hosts.first?.password.revealed == "p:a/ss")
        #expect(configuration.virtualHost == "v/host")
        #expect(configuration.heartbeat == .seconds(30))
        #expect(configuration.connectTimeout == .milliseconds(2_500))
        #expect(configuration.channelMax == 100)
        #expect(configuration.frameMax == 8_192)
        #expect(configuration.connectionName == "worker")
        #expect(configuration.mechanism == .external)
        #expect(configuration.tls == nil)
    }

    @Test(
        arguments: [
            ("amqp://localhost", "/"), ("amqp://localhost/", "/"), ("amqp://localhost/%2F", "/"),
            ("amqp://localhost/%2f", "/"), ("amqp://localhost/a", "a"), ("amqp://localhost/%2Fa", "/a"),
            ("amqp://localhost/a%3Fb%23c", "a?b#c"), ("amqp://localhost/caf%C3%A9", "café"),
        ]
    )
    func `the path names the virtual host`(url: String, name: String) throws {
        #expect(try AMQPConfiguration(url: url).virtualHost == name)
    }

    @Test func `several hosts keep their own ports and credentials`() throws {
        let hosts = try AMQPConfiguration(url: "amqp://a:1@h1:1111,h2,,b:2@[::1]:3333,[fe80::1]/x").hosts
        #expect(hosts.map { $0.name } == ["h1", "h2", "::1", "fe80::1"])
        #expect(hosts.map { $0.port } == [1_111, 5_672, 3_333, 5_672])
        #expect(hosts.map { $0.user } == ["a", "guest", "b", "guest"])
        #expect(hosts.map { $0.password.revealed } == ["1", "guest", "2", "guest"])
    }

    @Test func `TLS has its own port and options`() throws {
        let url = "amqps://h1,h2:1/?cacertfile=/ca.pem&certfile=/c.pem&keyfile=/k.pem&server_name_indication=broker"
        let configuration = try AMQPConfiguration(url: url)
        #expect(configuration.hosts.map { $0.port } == [5_671, 1])
        let tls = try #require(configuration.tls)
        #expect(tls.caFile == "/ca.pem" && tls.certificateFile == "/c.pem" && tls.keyFile == "/k.pem")
        #expect(tls.serverName == "broker")
        #expect(tls.verifiesPeer && tls.verifiesHostName)
        #expect(try AMQPConfiguration(url: "amqps://h/?verify=verify_none").tls?.verifiesPeer == false)
    }

    @Test func `nothing but a scheme means the local broker`() throws {
        let configuration = try AMQPConfiguration(url: "amqp://")
        #expect(configuration.hosts.map { $0.name } == ["localhost"])
        #expect(configuration.virtualHost == "/")
    }

    @Test(
        arguments: [
            "", "localhost", "http://localhost", "rabbit://localhost", "amqp:/localhost", "amqp://h:port",
            "amqp://h:0", "amqp://h:65536", "amqp://h:-1", "amqp://[::1", "amqp://[::1]x", "amqp://::1",
            "amqp://user:pass:word@h/%zz", "amqp://u%4@h", "amqp://u%@h", "amqp://h/a/b", "amqp://h/%ff",
            "amqp://h/%00", "amqp://h/?heartbeat=x", "amqp://h/?heartbeat=-1", "amqp://h/?heartbeats=1",
            "amqp://h/?verify=verify_none", "amqps://h/?verify=maybe", "amqps://h/?certfile=/c.pem", "amqp://h/#x",
            "amqp://h/?auth_mechanism=digest", "amqp://u:p/w@h/v",
        ]
    )
    func `a wrong URL is refused with a typed error`(url: String) {
        let error = #expect(throws: AMQPError.self) { try AMQPConfiguration(url: url) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test func `a refusal never repeats a password`() {
        for url in [
            "amqp://user:s3cret@host:x", "amqp://user:s3cret%zz@host", "amqps://u:s3cret@h/?certfile=/c.pem",
            // Characters of a password that are not encoded: what follows them looks like other parts of the URL.
            "amqp://u:s3cret/x@h", "amqp://u:12/s3cret@h", "amqp://u:12?s3cret@h", "amqp://u:12?heartbeat=s3cret@h",
            "amqp://u:12?verify=s3cret@h", "amqp://u:x,s3cret@h:y:z", "amqp://u:x@y@h:s3cret", "amqp://[::1]s3cret",
            "amqp://a:b:s3cret", "amqp://u:1#s3cret@h", "amqp://u:p,s3cret:w@h",
        ] {
            let error = #expect(throws: AMQPError.self) { try AMQPConfiguration(url: url) }
            #expect(error?.description.contains("s3cret") == false)
        }
    }
}

@Suite struct SecretTests {
    @Test func `a password shows in no output`() throws {
        let configuration = try AMQPConfiguration(url: "amqp://user:s3cret@host")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!"\(configuration)".contains("s3cret"))
        #expect(!String(reflecting: configuration).contains("s3cret"))
        #expect(!dumped.contains("s3cret"))
        #expect("\(configuration.hosts.map { $0.password })" == "[***]")
    }
}

@Suite struct BackoffTests {
    @Test func `pauses grow to the maximum`() {
        let backoff = AMQPConfiguration.Backoff(initial: .milliseconds(100), maximum: .seconds(1), multiplier: 2)
        let limits = (0..<6).map { backoff.limit(attempt: $0) }
        #expect(limits == [100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        #expect(backoff.limit(attempt: .max) == .seconds(1))
        #expect(backoff.limit(attempt: -1) == .milliseconds(100))
    }

    @Test func `wire contract 5.4: pauses may grow by a fixed step, as oslo's do`() {
        let backoff = AMQPConfiguration.Backoff(
            initial: .seconds(1),
            maximum: .seconds(30),
            multiplier: 1,
            increment: .seconds(2)
        )
        #expect((0..<4).map { backoff.limit(attempt: $0) } == [1, 3, 5, 7].map { .seconds($0) })
        #expect(backoff.limit(attempt: 15) == .seconds(30))
        #expect(backoff.limit(attempt: .max) == .seconds(30))
        let constant = AMQPConfiguration.Backoff(initial: .seconds(1), maximum: .seconds(30), multiplier: 1)
        #expect(constant.limit(attempt: .max) == .seconds(1))
    }

    @Test func `pauses are spread over the whole range and never zero`() {
        let backoff = AMQPConfiguration.Backoff(initial: .seconds(1), maximum: .seconds(1), multiplier: 1)
        var generator = SystemRandomNumberGenerator()
        let pauses = (0..<1_000).map { _ in backoff.delay(attempt: 0, using: &generator) }
        #expect(pauses.allSatisfy { $0 >= .milliseconds(100) && $0 <= .seconds(1) })
        #expect(pauses.contains { $0 < .milliseconds(300) } && pauses.contains { $0 > .milliseconds(800) })
    }
}
