import Messaging
import ServiceRuntime
import Testing

// The code of the guide "Your first manager", so that it keeps compiling and keeps its word.

private enum GreetingRPC {
    static let version: RPCVersion = "1.1"
    static let greet = RPCMethod<Greeting, String>("greet", since: "1.0")
}

private struct Greeting: Codable, Sendable {
    var name: String
}

extension ServiceOption where Value == String {
    fileprivate static var guestBook: Self {
        Self("guest_book", default: "/var/lib/greeting/guests", help: "the guest book's path")
    }
}

private actor GuestBook {
    private(set) var isOpen = false
    private(set) var guests: [String] = []

    func open() { self.isOpen = true }
    func add(_ name: String) throws { self.guests.append(name) }
    func forgetOld() { self.guests = [] }
    func freeChairs() -> Int { 10 - self.guests.count }
}

private actor GreetingManager: Manager {
    nonisolated let host: String
    nonisolated let serviceCapabilities = ServiceCapabilities()
    private let guests: GuestBook

    init(_ context: ManagerContext, guests: GuestBook) {
        self.host = context.host
        self.guests = guests
    }

    nonisolated var endpoint: RPCEndpoint {
        RPCEndpoint(version: GreetingRPC.version) {
            GreetingRPC.greet.handled { context, greeting in try await self.greet(greeting.name) }
        }
    }

    nonisolated var periodicTasks: [PeriodicTask] {
        PeriodicTask("forget_guests", every: .seconds(3600), timeLimit: .seconds(60)) { _ in
            await self.guests.forgetOld()
        }
    }

    func initHost() async throws {
        await self.guests.open()
    }

    func greet(_ name: String) async throws -> String {
        try await self.guests.add(name)
        return "hello \(name), this is \(self.host)"
    }
}

extension GreetingManager: SchedulerDependentManager {
    nonisolated var serviceName: String { "greeting" }

    func report() async throws {
        updateServiceCapabilities(["free_chairs": .integer(await self.guests.freeChairs())])
    }
}

@Suite(.timeLimit(.minutes(3)))
struct FirstManagerTests {
    @Test func `a guest is greeted`() async throws {
        let context = ManagerContext(transport: InMemoryTransport(InMemoryBroker()))
        let guests = GuestBook()
        let manager = GreetingManager(context, guests: guests)
        let service = ManagerService(manager, topic: "greeting", transport: context.transport)
        try await withManagerService(service) { service in
            let greeters = RPCClient(context.transport, target: .topic("greeting"))
            let answer = try await greeters.on(host: context.host).call(GreetingRPC.greet, Greeting(name: "Ada"))
            #expect(answer == "hello Ada, this is \(context.host)")
        }
        #expect(await guests.isOpen)
        try await manager.report()
        #expect(manager.serviceCapabilities.latest == ["free_chairs": 9])
        #expect(service.periodicTaskStatuses.map(\.name) == ["forget_guests", "publish_service_capabilities"])
    }

    @Test func `a program's context has its option and its host`() throws {
        let configuration = try ServiceConfiguration(
            options: ServiceConfiguration.standardOptions + [ServiceOption.guestBook],
            defaults: ["topic": "greeting"],
            overrides: ["host": "node-1", "guest_book": "/tmp/guests"],
            environment: [:]
        )
        let context = ManagerContext(configuration: configuration, transport: InMemoryTransport(InMemoryBroker()))
        #expect(context.host == "node-1")
        #expect(context.configuration[.guestBook] == "/tmp/guests")
        let manager = GreetingManager(context, guests: GuestBook())
        #expect(ManagerService(manager, in: context).target == .topic("greeting", server: "node-1"))
    }
}
