import Messaging
import Testing

/// A service's contract is one place: registration, client and description come from it.
@Suite(.timeLimit(.minutes(3))) struct RPCContractTests {
    struct Missing: Error, Equatable, RemoteFailureConvertible, RemoteFailureInitializable {
        let word: String
        init(word: String) { self.word = word }
        init?(_ failure: RemoteFailure) {
            guard failure.module == "lexicon", failure.className == "Missing",
                let word = failure.kwargs["word"]?.stringValue
            else { return nil }
            self.word = word
        }
        var remoteFailure: RemoteFailure {
            RemoteFailure(
                className: "Missing",
                module: "lexicon",
                message: "\(self.word) is unknown",
                kwargs: ["word": .string(self.word)]
            )
        }
    }

    struct Word: Codable, Sendable {
        var word: String
        var language: String?
    }

    protocol Lexicon: Sendable {
        func meaning(of word: String) async throws -> String
        func forget(_ word: String) async throws
        func words() async throws -> [String]
    }

    enum LexiconRPC {
        static let meaning = RPCMethod<Word, String>("meaning", since: "2.1", timeLimit: .seconds(3))
        static let forget = RPCMethod<Word, Void>("forget", since: "2.0", delivery: .atLeastOnce, access: .roles(["a"]))
        static let words = RPCMethod<Void, [String]>("words", since: "2.0")
        static let reload = RPCMethod<Void, Void>("reload", since: "2.0")

        static let contract = RPCContract<any Lexicon>("lexicon", version: "2.3", errors: [Missing.self]) {
            meaning.served { lexicon, _, request in try await lexicon.meaning(of: request.word) }
            forget.served { lexicon, _, request in try await lexicon.forget(request.word) }
            words.served { lexicon, _ in try await lexicon.words() }
        }
    }

    actor Shelf: Lexicon {
        private var meanings = ["one": "eins", "two": "zwei"]
        func meaning(of word: String) async throws -> String {
            guard let meaning = self.meanings[word] else { throw Missing(word: word) }
            return meaning
        }
        func forget(_ word: String) throws {
            guard self.meanings.removeValue(forKey: word) != nil else { throw Missing(word: word) }
        }
        func words() -> [String] { self.meanings.keys.sorted() }
    }

    struct LexiconAPI: Lexicon, RPCServiceClient {
        var client: RPCClient
        init(_ transport: any Transport) {
            self.client = RPCClient(transport, of: LexiconRPC.contract, target: .topic("lexicon"))
            self.client.options.timeout = .seconds(10)
            self.client.options.context = RPCContext(["roles": ["a"]])
        }
        func meaning(of word: String) async throws -> String {
            try await self.client.call(LexiconRPC.meaning, .init(word: word))
        }
        func forget(_ word: String) async throws { try await self.client.call(LexiconRPC.forget, .init(word: word)) }
        func words() async throws -> [String] { try await self.client.call(LexiconRPC.words) }
    }

    /// What a user of the service does, who does not know where it is.
    private func use(_ lexicon: any Lexicon) async throws {
        #expect(try await lexicon.meaning(of: "one") == "eins")
        await #expect(throws: Missing(word: "three")) { _ = try await lexicon.meaning(of: "three") }
        try await lexicon.forget("one")
        await #expect(throws: Missing(word: "one")) { try await lexicon.forget("one") }
        #expect(try await lexicon.words() == ["two"])
    }

    @Test func `a service reads the same at home and over the broker, its errors too`() async throws {
        try await self.use(Shelf())
        let broker = InMemoryBroker()
        let client = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("lexicon", server: "a"),
            endpoints: [RPCEndpoint(LexiconRPC.contract, serving: Shelf())]
        ) { _ async throws in
            try await self.use(LexiconAPI(client))
            try await self.use(LexiconAPI(client).on(host: "b")) { error in
                #expect((error as? RPCError)?.code == .noSuchServer)
            }
        }
        await client.close()
    }

    private func use(_ lexicon: any Lexicon, fails: (any Error) -> Void) async throws {
        do {
            _ = try await lexicon.words()
            Issue.record("there is no such host")
        } catch {
            fails(error)
        }
    }

    @Test func `wire contract 3.4: a client makes only the errors that are allowed to it`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("lexicon", server: "a"),
            endpoints: [RPCEndpoint(LexiconRPC.contract, serving: Shelf())]
        ) { _ async throws in
            var client = RPCClient(transport, target: .topic("lexicon"))
            let error = await #expect(throws: RPCError.self) {
                _ = try await client.call(LexiconRPC.meaning, .init(word: "three"))
            }
            #expect(error?.code == .remote)
            #expect(error?.failure?.className == "Missing")
            client.options.errors = [Missing.self]
            await #expect(throws: Missing(word: "three")) {
                _ = try await client.call(LexiconRPC.meaning, .init(word: "three"))
            }
            // Another error of the same server is none of those.
            let other = await #expect(throws: RPCError.self) {
                _ = try await client.prepare { $0.version = "2.0" }.call("none")
            }
            #expect(other?.code == .noSuchMethod)
        }
        await transport.close()
    }

    @Test func `refusals of a server have codes of their own, and keep the failure`() async throws {
        let broker = InMemoryBroker()
        let transport = InMemoryTransport(broker)
        try await withRPCServer(
            on: InMemoryTransport(broker),
            target: .topic("lexicon", server: "a"),
            endpoints: [RPCEndpoint(LexiconRPC.contract, serving: Shelf())]
        ) { server async throws in
            let client = RPCClient(transport, target: .topic("lexicon")).prepare { $0.version = "2.0" }
            func refusal(_ body: () async throws -> Void) async -> RPCError? {
                await #expect(throws: RPCError.self) { try await body() }
            }
            let noMethod = await refusal { _ = try await client.call("none") }
            #expect(noMethod?.code == .noSuchMethod)
            #expect(noMethod?.failure?.className == "NoSuchMethod")
            let noVersion = await refusal { _ = try await client.prepare { $0.version = "2.4" }.call("words") }
            #expect(noVersion?.code == .unsupportedVersion)
            #expect(noVersion?.failure?.className == "UnsupportedVersion")
            let denied = await refusal { try await client.call(LexiconRPC.forget, .init(word: "one")) }
            #expect(denied?.code == .accessDenied)
            #expect(denied?.failure?.className == "AccessDenied")
            #expect(denied?.message.contains("role a") == true)
            let tooMuch = await refusal {
                _ = try await client.call("words", [String(repeating: "n", count: 256): 1])
            }
            #expect(tooMuch?.code == .limitExceeded)
            #expect(tooMuch?.failure?.className == "LimitExceeded")
            #expect(
                server.refusals
                    == [
                        "no_such_method": 1, "unsupported_version": 1, "access_denied": 1, "limit_exceeded": 1,
                        "malformed": 0,
                    ]
            )
        }
        await transport.close()
    }

    @Test func `a contract describes itself, as JSON too`() throws {
        let description = LexiconRPC.contract.description
        #expect(description.name == "lexicon")
        #expect(description.version == "2.3")
        #expect(description.methods.map(\.name) == ["forget", "meaning", "words"])
        let meaning = try #require(description.methods.first { $0.name == "meaning" })
        #expect(meaning.since == "2.1")
        #expect(meaning.timeLimit == 3)
        #expect(meaning.delivery == "at_most_once" && meaning.attempts == nil)
        #expect(meaning.access == "anyone")
        #expect(meaning.arguments.description == "{language: string?, word: string}")
        #expect(meaning.result == JSONShape(.string))
        let forget = try #require(description.methods.first { $0.name == "forget" })
        #expect(forget.delivery == "at_least_once" && forget.attempts == 5)
        #expect(forget.access == "role a")
        #expect(forget.result == .null)
        #expect(description.methods.last?.arguments == .object([:]))
        #expect(RPCEndpoint(LexiconRPC.contract, serving: Shelf()).description == description)
        #expect(try JSONValue(encoding: description).decode(ContractDescription.self) == description)
    }

    @Test func `an endpoint that was made by hand describes what it knows`() throws {
        let endpoint = RPCEndpoint(
            namespace: "n",
            version: "1.4",
            legacyNamespaces: ["old", nil],
            access: .users(["u"])
        ) {
            RPCHandler("free", namespace: "n") { _, arguments in arguments }
            RPCMethod<Word, Void>("typed", namespace: "n", since: "1.2").handled { _, _ in }
        }
        let server = RPCServer(
            InMemoryTransport(InMemoryBroker()),
            target: .topic("t", server: "s"),
            endpoints: [endpoint]
        )
        let description = try #require(server.contracts.first)
        #expect(description.name == nil)
        #expect(description.namespace == "n")
        #expect(description.legacyNamespaces == ["old", nil])
        #expect(description.methods.map(\.access) == ["user u", "user u"])
        #expect(description.methods[0].arguments == .map(of: .any))
        #expect(description.methods[0].result == .any)
        #expect(description.methods[1].arguments.members.keys.sorted() == ["language", "word"])
        #expect(try JSONValue(encoding: description).decode(ContractDescription.self) == description)
    }

    // MARK: Mistakes of programmers

    @Test func `a contract with two methods of one name is caught at once`() async {
        await #expect(processExitsWith: .failure) {
            _ = RPCContract<any Lexicon>("twice", version: "2.0") {
                LexiconRPC.words.served { lexicon, _ in try await lexicon.words() }
                LexiconRPC.words.served { lexicon, _ in try await lexicon.words() }
            }
        }
    }

    @Test func `a contract with a method of another namespace is caught at once`() async {
        await #expect(processExitsWith: .failure) {
            _ = RPCContract<any Lexicon>("astray", namespace: "other", version: "2.0") {
                LexiconRPC.words.served { lexicon, _ in try await lexicon.words() }
            }
        }
    }

    @Test func `a contract with a method that its version does not reach is caught at once`() async {
        await #expect(processExitsWith: .failure) {
            _ = RPCContract<any Lexicon>("old", version: "2.0") {
                LexiconRPC.meaning.served { lexicon, _, request in try await lexicon.meaning(of: request.word) }
            }
        }
    }

    @Test func `a method that is declared and not served is caught when the server is made`() async {
        await #expect(processExitsWith: .failure) {
            _ = RPCServer(
                InMemoryTransport(InMemoryBroker()),
                target: .topic("lexicon", server: "a"),
                endpoints: [RPCEndpoint(RPCContractTests.partial, serving: Shelf())]
            )
        }
        let server = RPCServer(
            InMemoryTransport(InMemoryBroker()),
            target: .topic("lexicon", server: "a"),
            endpoints: [
                RPCEndpoint(RPCContractTests.partial, serving: Shelf()),
                RPCEndpoint(version: "2.0") { LexiconRPC.reload.handled { _ in } },
            ]
        )
        #expect(server.contracts.map { $0.methods.map(\.name) } == [["words"], ["reload"]])
        #expect(RPCContractTests.partial.description.methods.map(\.name) == ["reload", "words"])
    }

    static let partial = RPCContract<any Lexicon>("partial", version: "2.0") {
        LexiconRPC.words.served { lexicon, _ in try await lexicon.words() }
        LexiconRPC.reload.servedElsewhere()
    }
}
