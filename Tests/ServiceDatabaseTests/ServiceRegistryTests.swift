import Foundation
import ServiceDatabase
import ServiceRuntime
import Testing

/// What every registry does, in whatever database it is.
@Suite(.timeLimit(.minutes(2))) struct ServiceRegistryTests {
    @Test(arguments: RegistryKind.allCases)
    func `a service is recorded, counts its reports, and keeps its standing over a start`(
        kind: RegistryKind
    ) async throws {
        try await RegistryPlace.with(kind) { place in
            let registry = try place.registry()
            let first = try await registry.register(.of("node-1"))
            #expect(first.registration == .of("node-1"))
            #expect(first.standing == ServiceStanding() && first.reportCount == 0 && first.age < .seconds(10))
            #expect(first.updatedAt.hasPrefix("20") && first.updatedAt.hasSuffix("Z"))
            for count in Int64(1)...3 {
                #expect(try await registry.heartbeat(.of("node-1")).reportCount == count)
            }
            _ = try await registry.change(first.key, .disable(reason: "new disks"))
            let frozen = try await registry.change(first.key, .freeze)
            #expect(frozen.standing == ServiceStanding(isDisabled: true, disabledReason: "new disks", isFrozen: true))

            let again = try await place.registry().register(.of("node-1", incarnation: "2"))
            #expect(again.registration.incarnation == "2")
            #expect(again.reportCount == 3 && again.standing == frozen.standing)
            // Of an earlier process that has not ended yet.
            let other = try await registry.heartbeat(.of("node-1", incarnation: "1"))
            #expect(other.registration.incarnation == "2" && other.reportCount == 4)
            let enabled = try await registry.change(first.key, .enable)
            #expect(enabled.standing == ServiceStanding(isFrozen: true))
            #expect(try await registry.change(first.key, .thaw).standing == ServiceStanding())
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `services are listed in order, and one that was removed comes back with its next report`(
        kind: RegistryKind
    ) async throws {
        try await RegistryPlace.with(kind) { place in
            let registry = try place.registry()
            let names = ["b", "a", "B", "ä", "a@lvm", "a-1"]
            for name in names { _ = try await registry.register(.of(name)) }
            _ = try await registry.register(.of("z", topic: "cinder-scheduler"))
            #expect(try await registry.services().map(\.key.host) == ["z", "B", "a", "a-1", "a@lvm", "b", "ä"])
            let key = ServiceKey(topic: "cinder-volume", host: "a")
            #expect(try await registry.remove(key))
            #expect(try await !registry.remove(key))
            let error = await #expect(throws: ServiceRegistryError.self) { try await registry.change(key, .freeze) }
            #expect(error?.code == .noSuchService)
            #expect(try await registry.heartbeat(.of("a")).reportCount == 0)
            #expect(try await registry.services().count == 7)
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `names and reasons are taken as they are, whatever is in them`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            let registry = try place.registry()
            for text in ["'; DROP TABLE steward_service; --", "$1 %s ?1 \\", "\u{1F4BE}\n\t\u{1B}[31m", "a\"b`c"] {
                let record = try await registry.register(.of(text))
                #expect(record.key.host == text)
                let changed = try await registry.change(record.key, .disable(reason: text))
                #expect(changed.standing.disabledReason == text)
            }
            #expect(try await registry.services().count == 4)
            let refused: [() async throws -> Void] = [
                { _ = try await registry.register(.of("a\0b")) },
                { _ = try await registry.heartbeat(.of("")) },
                { _ = try await registry.register(.of(String(repeating: "x", count: 1025))) },
                { _ = try await registry.change(ServiceKey(topic: "t", host: "h"), .disable(reason: "a\0b")) },
            ]
            for attempt in refused {
                let error = await #expect(throws: ServiceRegistryError.self) { try await attempt() }
                #expect(error?.code == .invalid)
            }
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `hosts that start for the first time at once do not collide`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask { _ = try await place.registry().register(.of("node-\(number)")) }
                }
                try await group.waitForAll()
            }
            #expect(try await place.registry().services().count == 12)
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `no report of several processes is lost`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            let registries = try (0..<4).map { _ in try place.registry() }
            _ = try await registries[0].register(.of("node-1"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for registry in registries {
                    group.addTask { for _ in 0..<25 { _ = try await registry.heartbeat(.of("node-1")) } }
                }
                try await group.waitForAll()
            }
            #expect(try await registries[0].services().map(\.reportCount) == [100])
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `tables of a later version are refused, and stay as they are`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            _ = try await place.registry().register(.of("node-1"))
            try await place.execute("INSERT INTO steward_service_schema (version) VALUES (1000)")
            let error = await #expect(throws: ServiceRegistryError.self) {
                try await place.registry().register(.of("node-2"))
            }
            #expect(error?.code == .newerSchema)
            try await place.execute("DELETE FROM steward_service_schema WHERE version = 1000")
            #expect(try await place.registry().services().map(\.key.host) == ["node-1"])
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `who only looks makes no tables`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            for _ in 0..<2 {
                let error = await #expect(throws: ServiceRegistryError.self) {
                    try await place.registry(schema: .existing).services()
                }
                #expect(error?.code == .noRegistry)
            }
            let looking = try place.registry(schema: .existing)
            _ = try await place.registry().register(.of("node-1"))
            #expect(try await looking.services().count == 1)
        }
    }

    @Test(arguments: RegistryKind.allCases)
    func `a reader judges by what it has seen`(kind: RegistryKind) async throws {
        try await RegistryPlace.with(kind) { place in
            let (writer, reader) = (try place.registry(), try place.registry())
            for host in ["lives", "dies"] { _ = try await writer.register(.of(host)) }
            var table = ServiceLivenessTable(downTime: .seconds(30), lookingEvery: .seconds(10))
            func states() -> [String] {
                ["lives", "dies"].map { table.liveness(of: .init(topic: "cinder-volume", host: $0)).description }
            }
            table.look(at: try await reader.services(), now: .zero)
            #expect(states() == ["unknown", "unknown"])
            for second in [10, 20, 30, 40] {
                _ = try await writer.heartbeat(.of("lives"))
                table.look(at: try await reader.services(), now: .seconds(second))
                #expect(states() == ["up", second <= 30 ? "unknown" : "down"])
            }
            _ = try await writer.heartbeat(.of("dies"))
            table.look(at: try await reader.services(), now: .seconds(50))
            #expect(states() == ["up", "up"])
        }
    }
}

@Suite struct ServiceRegistryLocationTests {
    @Test func `SQLAlchemy's spellings are read, and passwords are not shown`() throws {
        func shown(_ url: String) throws -> String { try ServiceRegistryLocation(Secret(url: url)).description }
        #expect(try shown("sqlite:///var/lib/steward/services.sqlite") == "sqlite:///var/lib/steward/services.sqlite")
        #expect(try shown("sqlite:////var/lib/cinder/cinder.sqlite") == "sqlite:///var/lib/cinder/cinder.sqlite")
        #expect(
            try shown("postgresql+psycopg2://cinder:hush@db/cinder") == "postgresql+psycopg2://cinder:***@db/cinder"
        )
        let location = try ServiceRegistryLocation(Secret(url: "postgresql://cinder:hush@db/cinder?sslmode=require"))
        var text = ""
        dump(location, to: &text)
        #expect(!"\(location)\(text)".contains("hush"))
    }

    @Test(arguments: [
        ("mysql+pymysql://cinder:hush@db/cinder", "mysql+pymysql"), ("oracle://u:hush@h/d", "oracle"),
        ("/var/lib/x:hush@", "scheme"), ("sqlite://", "file"), ("sqlite:///", "file"), ("sqlite://host/x", "file"),
        ("postgresql://u:hush@[/d", "URL"),
    ])
    func `what is not supported is refused by name`(url: String, word: String) {
        let error = #expect(throws: ServiceRegistryError.self) { try ServiceRegistryLocation(Secret(url: url)) }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains(word) == true)
        #expect(error?.description.contains("hush") == false)
    }
}
