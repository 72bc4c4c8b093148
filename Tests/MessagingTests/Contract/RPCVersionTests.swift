import Messaging
import Testing

/// Wire contract 4.2.
@Suite("wire contract 4.2: versions") struct RPCVersionTests {
    @Test(arguments: [
        ("1.0", true), ("1.5", true), ("1.5.0", true), ("1.6", false), ("1.5.1", false), ("0.9", false), ("2.0", false),
    ])
    func `an endpoint of 1.5 serves what the version rule says`(requested: String, isServed: Bool) throws {
        #expect(RPCVersion("1.5").supports(try RPCVersion(parsing: requested)) == isServed)
    }

    @Test func `a revision counts only where the minors are equal`() {
        let implemented: RPCVersion = "1.5.2"
        #expect(implemented.supports("1.5.2"))
        #expect(!implemented.supports("1.5.3"))
        #expect(implemented.supports("1.4.9"))
    }

    @Test(arguments: ["", "1", "1.", ".1", "1.2.3.4", "a.b", "+1.0", "-1.0", "1.0 ", "99999999999999999999.0"])
    func `text that is no version is refused`(text: String) {
        #expect(RPCVersion(text as String) == nil)
        #expect(throws: RPCError.self) { try RPCVersion(parsing: text) }
    }

    @Test func `versions are ordered and written as numbers`() {
        #expect(RPCVersion(3, 9) < RPCVersion(3, 10))
        #expect(RPCVersion(2, 99) < RPCVersion(3, 0))
        #expect(RPCVersion(3, 10).description == "3.10")
        #expect(RPCVersion(3, 10, revision: 1).description == "3.10.1")
    }
}
