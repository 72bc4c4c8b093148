import Messaging
import MessagingTesting
import ServiceLifecycle
import Synchronization
import Testing

@testable import ServiceRuntime

extension ServiceOption where Value == Int {
    fileprivate static var capacity: Self {
        Self("capacity", default: 1, in: 0...100, help: "how much there is").mutable().perBackend()
    }
    fileprivate static var weight: Self { Self("weight", default: 5, help: "how much it counts").perBackend() }
}

extension ServiceOption where Value == Secret {
    fileprivate static var key: Self { Self("key", default: Secret(""), help: "a key").mutable().perBackend() }
}

struct BackendConfigurationTests {
    static let options =
        ServiceConfiguration.standardOptions + [
            ServiceOption<[String]>.enabledBackends, ServiceOption<Int>.capacity, ServiceOption<Int>.weight,
            ServiceOption<Secret>.key,
        ]

    private func read(
        _ text: String,
        environment: [String: String] = [:],
        overrides: [String: String] = [:]
    ) throws -> ServiceConfiguration {
        try withConfigurationFile(text, named: "worker.conf") { file in
            try ServiceConfiguration(
                options: Self.options,
                overrides: overrides,
                environment: environment,
                files: [file]
            )
        }
    }

    private let three = """
        [DEFAULT]
        enabled_backends = one, Two,three
        capacity = 2
        weight = 6
        [backend_defaults]
        weight = 7
        [one]
        capacity = 11
        key = hush-1
        [Two]
        weight = 8
        """

    @Test func `a backend's values are its section's, else those of all backends, else the program's`() throws {
        let configuration = try read(three)
        #expect(configuration.enabledBackends == ["one", "Two", "three"])
        #expect(configuration[.capacity] == 2)
        #expect(configuration[.weight] == 6)
        let one = try configuration.backend("one")
        #expect((one[.capacity], one[.weight], one[.key].reveal()) == (11, 7, "hush-1"))
        #expect(one.isSet(.capacity) && !one.isSet(.weight))
        let two = try configuration.backend("Two")
        #expect((two[.capacity], two[.weight], two[.key].reveal()) == (2, 8, ""))
        #expect(two.backendName == "two")
        #expect(two[.host] == configuration[.host])
    }

    @Test func `a backend without a section is that backend's error alone`() throws {
        let configuration = try read(three)
        let error = #expect(throws: ServiceError.self) { try configuration.backend("three") }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message == "backend 'three' is enabled, but there is no section [three]")
        #expect(throws: ServiceError.self) { try configuration.backend("four") }
        _ = try configuration.backend("one")
        let problems = try withConfigurationFile(three, named: "worker.conf") { file in
            ServiceConfiguration.problems(options: Self.options, environment: [:], files: [file])
        }
        #expect(problems.map(\.explanation) == ["backend 'three' is enabled, but there is no section [three]"])
        // An empty section is one, and so is what the environment or the command line says.
        _ = try read(three + "\n[three]").backend("three")
        _ = try read(three, environment: ["STEWARD_THREE__CAPACITY": "3"]).backend("three")
        #expect(try read(three, overrides: ["three.capacity": "4"]).backend("three")[.capacity] == 4)
    }

    @Test func `a wrong value in a backend's section is named with its line`() throws {
        let error = #expect(throws: ServiceError.self) { try read(three + "\n[three]\ncapacity = 101") }
        #expect(
            error?.message.hasSuffix("worker.conf:13: option 'three.capacity' is '101'; it must be between 0 and 100")
                == true
        )
        let twice = #expect(throws: ServiceError.self) {
            try read("[DEFAULT]\nenabled_backends = a,b\ncapacity = x\n[a]\n[b]")
        }
        #expect(twice?.message.split(separator: "; it must").count == 2, "said once: \(twice?.message ?? "")")
    }

    @Test func `what backends cannot have, and backends that are not enabled, are named`() throws {
        let warnings = try read(three + "\n[two]\nhost = a\nvolume_driver = b\ncapcity = 3\n[four]\ncapacity = 3")
            .warnings
        #expect(
            warnings.map(\.explanation) == [
                "option 'two.host' is not known", "option 'two.volume_driver' is not known",
                "option 'two.capcity' is not known; did you mean 'two.capacity'?",
                "section 'four' belongs to no enabled backend",
            ]
        )
        try withConfigurationFile(#"{"enabled_backends": ["a"], "a": {"capacity": 3}, "b": {"capacity": 4}}"#) { file in
            let configuration = try ServiceConfiguration(options: Self.options, environment: [:], files: [file])
            #expect(try configuration.backend("a")[.capacity] == 3)
            #expect(configuration.warnings.map(\.explanation) == ["section 'b' belongs to no enabled backend"])
        }
    }

    @Test func `the report has a section for each backend, with secrets masked`() throws {
        let report = try read(three).report
        #expect(report["capacity"] == 2)
        #expect(report["one"] == ["capacity": 11, "weight": 7, "key": "***"])
        #expect(report["two"] == ["capacity": 2, "weight": 8, "key": "***"])
        #expect(report["three"] == nil)
        #expect(!report.description.contains("hush"))
    }
}

/// What becomes of a configuration that is read again, for managers of several backends.
struct LiveBackendTests {
    /// Notes what it is told.
    private struct Listener: Manager {
        let name: String
        let heard: Events
        var objection: Int?
        var endpoint: RPCEndpoint { RPCEndpoint(version: "1.0") {} }

        func checkConfiguration(_ configuration: ServiceConfiguration) throws {
            if configuration[.capacity] == self.objection { throw TestFailure("not \(configuration[.capacity])") }
        }
        func configurationDidChange(_ configuration: ServiceConfiguration, changes: [ServiceOptionChange]) {
            self.heard.add("\(self.name): \(changes), capacity \(configuration[.capacity])")
        }
        func reset() { self.heard.add("\(self.name): reset") }
    }

    private func text(one: Int, two: Int, all: Int = 1, topic: String = "t", key: String = "k") -> String {
        """
        [DEFAULT]
        enabled_backends = one, two, three
        capacity = \(all)
        topic = \(topic)
        [one]
        capacity = \(one)
        [two]
        capacity = \(two)
        key = \(key)
        [three]
        """
    }

    private let heard = Events()

    private func withLive(
        _ text: String,
        _ body: (LiveConfiguration, _ write: (String) throws -> Void) async throws -> Void
    ) async throws {
        let directory = try withConfigurationDirectory([:]) { $0 }
        try write(text, directory + ".conf")
        defer { remove(directory + ".conf") }
        let live = LiveConfiguration(
            try ServiceConfiguration(
                options: BackendConfigurationTests.options,
                environment: [:],
                files: [directory + ".conf"]
            )
        )
        live.add(Listener(name: "program", heard: self.heard))
        live.add(Listener(name: "one", heard: self.heard), backend: "one")
        live.add(Listener(name: "two", heard: self.heard, objection: 66), backend: "two")
        live.add(Listener(name: "three", heard: self.heard), backend: "three")
        try await body(live) { try write($0, directory + ".conf") }
    }

    @Test func `each manager hears of what concerns its backend, then all are reset`() async throws {
        try await withLive(text(one: 11, two: 12)) { live, write in
            try write(text(one: 21, two: 12, all: 3, topic: "other"))
            let changes = try await live.readAgain()
            #expect(
                changes.map(\.description) == [
                    #"topic: "t" -> "other""#, "capacity: 1 -> 3", "one.capacity: 11 -> 21", "three.capacity: 1 -> 3",
                ]
            )
            #expect(changes.map(\.isTakenOver) == [false, true, true, true])
            #expect(
                self.heard.all == [
                    "program: [capacity: 1 -> 3], capacity 3", "one: [one.capacity: 11 -> 21], capacity 21",
                    "three: [three.capacity: 1 -> 3], capacity 3", "program: reset", "one: reset", "two: reset",
                    "three: reset",
                ]
            )
            #expect(try live.current.backend("one")[.capacity] == 21)
            #expect(live.current[.topic] == "t")
            #expect(live.current.report["one"]?["capacity"] == 21)
        }
    }

    @Test func `managers are reset where nothing has changed, too`() async throws {
        try await withLive(text(one: 11, two: 12)) { live, _ in
            let changes = try await live.readAgain()
            #expect(changes.isEmpty)
            #expect(self.heard.all == ["program: reset", "one: reset", "two: reset", "three: reset"])
        }
    }

    @Test func `one backend's wrong value or objection leaves all as it was`() async throws {
        try await withLive(text(one: 11, two: 12)) { live, write in
            for wrong in [
                text(one: 21, two: 101), text(one: 21, two: 66),
                text(one: 21, two: 12).replacing("[three]", with: "[trhee]"),
            ] {
                try write(wrong)
                await #expect(throws: ServiceError.self) { try await live.readAgain() }
                #expect(try live.current.backend("one")[.capacity] == 11)
            }
            #expect(self.heard.all.isEmpty)
        }
    }

    @Test func `a backend's secret changes without being seen`() async throws {
        try await withLive(text(one: 11, two: 12, key: "hush-1")) { live, write in
            try write(text(one: 11, two: 12, key: "hush-2"))
            let changes = try await live.readAgain()
            #expect(changes.map(\.description) == [#"two.key: "***" -> "***""#])
            #expect(try live.current.backend("two")[.key].reveal() == "hush-2")
        }
    }

    @Test func `what waits for a restart is warned of once, as are names that are not known`() throws {
        let log = TestLog()
        var notices = ConfigurationNotices()
        let problems = try withConfigurationFile("[DEFAULT]\nhots = a\nx = 1\ny = 2\n", named: "a.conf") { file in
            ServiceConfiguration.problems(options: BackendConfigurationTests.options, environment: [:], files: [file])
        }
        let option: any ServiceOptionDeclaration = ServiceOption<String>.topic
        let change = try #require(ServiceOptionChange(option, in: "DEFAULT", "a", "b"))
        for _ in 1...3 {
            notices.log(problems, to: log.logger)
            notices.log(waiting: [change], to: log.logger)
        }
        #expect(log.count(of: "configuration is doubtful") == 1)
        #expect(log.count(of: "configuration has options that are not known and have no effect") == 1)
        #expect(log.count(of: "configuration has changes that need a restart") == 1)
        notices.log(waiting: [], to: log.logger)
        notices.log(waiting: [change], to: log.logger)
        #expect(log.count(of: "configuration has changes that need a restart") == 2)
    }
}
