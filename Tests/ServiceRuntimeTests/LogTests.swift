import Logging
import Messaging
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite struct LogTests {
    /// What a logger has written.
    private final class Lines: Sendable {
        private let bytes = Mutex<[[UInt8]]>([])
        var output: LogOutput { LogOutput { line in self.bytes.withLock { $0.append(line) } } }
        var all: [String] { self.bytes.withLock { $0.map { String(decoding: $0, as: UTF8.self) } } }

        /// The only line, as JSON.
        func json() throws -> JSONValue {
            #expect(self.all.count == 1)
            return try JSONValue(parsing: Array(try #require(self.all.first).utf8))
        }
    }

    private let lines = Lines()

    private func logger(
        _ format: String,
        label: String = "test",
        provider: Logger.MetadataProvider? = nil
    ) throws -> Logger {
        let options = ServiceConfiguration.standardOptions
        let configuration = try ServiceConfiguration(options: options, overrides: ["log_format": format])
        let output = self.lines.output
        return Logger(label: label) { label in
            configuration.logHandler(label, to: output, metadataProvider: provider)
        }
    }

    @Test func `a JSON line has time, level, label, message, metadata, source and error`() throws {
        var logger = try self.logger("json", label: "volume-worker")
        logger[metadataKey: "host"] = "node-1"
        logger.warning(
            "it broke",
            error: RPCError(.timeout, "too slow"),
            metadata: ["list": ["1", ["a": "b"]], "host": "node-2"]
        )
        let line = try #require(try self.lines.json().objectValue)
        let time = try #require(line["time"]?.stringValue)
        #expect(time.utf8.count == "2026-11-22T19:30:00.250Z".utf8.count && time.hasSuffix("Z"))
        #expect(line["level"] == "warning")
        #expect(line["label"] == "volume-worker")
        #expect(line["message"] == "it broke")
        #expect(line["metadata"] == ["host": "node-2", "list": ["1", ["a": "b"]]])
        #expect(line["source"] == "ServiceRuntimeTests")
        #expect(line["error"]?["type"] == "Messaging.RPCError")
        #expect(line["error"]?["message"]?.stringValue?.contains("too slow") == true)
        #expect(self.lines.all[0].hasPrefix(#"{"time":"#))
    }

    @Test(arguments: ["text", "JSON"])
    func `a message stays on its line, whatever it holds`(format: String) throws {
        let nasty = "a\nb\r\u{1B}[2J\"quoted\"\\ \u{0}\u{85}\u{2028}ü😀"
        try self.logger(format).info("\(nasty)", metadata: ["key\n": "\(nasty)"])
        let text = try #require(self.lines.all.first)
        #expect(self.lines.all.count == 1)
        #expect(text.hasSuffix("\n"))
        #expect(!text.dropLast().unicodeScalars.contains { $0.value < 0x20 })
        if format == "JSON" {
            let line = try self.lines.json()
            #expect(line["message"] == .string(nasty))
            #expect(line["metadata"]?["key\n"] == .string(nasty))
        } else {
            #expect(text.contains(#"a\nb\r\u{1B}[2J"quoted"\ \0\u{0085}\u{2028}ü😀"#))
        }
    }

    @Test(arguments: ["text", "json"]) func `a secret is not printed`(format: String) throws {
        let secret = Secret("swordfish")
        try self.logger(format).info("secret \(secret)", metadata: ["password": "\(secret)", "list": ["\(secret)"]])
        #expect(!self.lines.all.joined().contains("swordfish"))
    }

    @Test func `a format that is none is refused`() {
        #expect(throws: ServiceError.self) { try self.logger("xml") }
    }

    @Test func `a handler's lines name its request, whichever logger it uses`() async throws {
        let logger = try self.logger("json", provider: .servedRequest)
        logger.info("before")
        let transport = InMemoryTransport(InMemoryBroker())
        let endpoint = RPCEndpoint(namespace: "volumes", version: "1.0") {
            RPCHandler("work", namespace: "volumes") { _, _ in
                await withTaskGroup { group in
                    group.addTask { logger.info("working") }
                }
                return .null
            }
        }
        let target = Target.topic("topic", server: "node-1")
        try await withRPCServer(on: transport, target: target, endpoints: [endpoint]) { _ in
            let client = RPCClient(transport, target: target)
            let context = RPCContext(["request_id": "req-7", "user_id": "ann", "project_id": "demo"])
            _ = try await client.call("work", namespace: "volumes", context: context)
            _ = try await client.call("work", namespace: "volumes", context: RPCContext())
            _ = try await client.call(
                "work",
                namespace: "volumes",
                context: RPCContext(["request_id": 7, "user": "ü"])
            )
        }
        let metadata = try self.lines.all.map { try JSONValue(parsing: Array($0.utf8))["metadata"] }
        #expect(metadata[0] == nil)
        #expect(
            metadata[1] == [
                "request_id": "req-7", "method": "work", "namespace": "volumes", "host": "node-1", "caller": "ann/demo",
            ]
        )
        // Without one in the context it is the message's own.
        #expect(metadata[2]?["request_id"]?.stringValue?.utf8.count == 32)
        // The user whom the broker knows.
        #expect(metadata[2]?["caller"] == "guest")
        #expect(metadata[3]?["request_id"]?.stringValue?.utf8.count == 32)
        #expect(metadata[3]?["caller"] == "ü/-")
    }

    // MARK: Levels

    private func leveled(_ levels: LogLevels, label: String) -> Logger {
        let output = self.lines.output
        return Logger(label: label) { label in
            let handler = StreamLogHandler(label: label, stream: TextLogStream(output: output), metadataProvider: nil)
            return LeveledLogHandler(handler, label: label, levels: levels)
        }
    }

    @Test func `a level of a prefix concerns its labels and its modules, the longest counts`() throws {
        let levels = LogLevels(.info)
        let amqp = self.leveled(levels, label: "amqp.connection")
        let other = self.leveled(levels, label: "other")
        amqp.debug("1")
        #expect(levels.set(.debug, prefix: "amqp"))
        amqp.debug("2")
        other.debug("3")
        other.debug("4", source: "amqpClient")
        #expect(levels.set(.error, prefix: "amqp.connection"))
        amqp.warning("5")
        other.info("6")
        #expect(levels.set(.trace, prefix: ""))
        other.trace("7")
        amqp.warning("8")
        #expect(levels.set(nil, prefix: "amqp.connection"))
        #expect(levels.set(nil, prefix: "amqp"))
        #expect(levels.set(nil, prefix: ""))
        other.debug("9")
        other.info("0")
        #expect(self.lines.all.map { $0.dropLast().last } == ["2", "4", "6", "7", "0"])
        #expect(levels.levels() == ["": .info])
    }

    @Test func `a logger's own level goes before all others`() {
        let levels = LogLevels(.info)
        var logger = self.leveled(levels, label: "own")
        logger.logLevel = .debug
        #expect(levels.set(.error, prefix: "own"))
        logger.debug("1")
        #expect(self.lines.all.count == 1)
    }

    @Test func `a new level of the configuration goes before one for all, an old one does not`() {
        let levels = LogLevels(.info)
        #expect(levels.set(.debug, prefix: "") && levels.set(.trace, prefix: "amqp"))
        #expect(!levels.configure(.info))
        #expect(levels.levels() == ["": .debug, "amqp": .trace])
        #expect(levels.configure(.warning))
        #expect(levels.levels() == ["": .warning, "amqp": .trace])
        #expect(levels.level(of: "amqp.x") == .trace)
        #expect(levels.levels(under: "none") == ["none": .warning])
    }

    @Test func `there are only so many prefixes`() {
        let levels = LogLevels(.info)
        for number in 0..<LogLevels.mostPrefixes { #expect(levels.set(.debug, prefix: "p\(number)")) }
        #expect(!levels.set(.debug, prefix: "one more"))
        #expect(levels.set(.error, prefix: "p1"))
        #expect(levels.set(nil, prefix: "p2") && levels.set(.debug, prefix: "one more"))
    }
}
