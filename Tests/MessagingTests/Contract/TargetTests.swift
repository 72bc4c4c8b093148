import Testing

@testable import Messaging

/// Wire contract 1.1, and AMQP's short strings.
@Suite struct TargetTests {
    @Test func `a target reads as people write it`() {
        #expect(Target.topic("volume").description == "volume")
        #expect(Target.topic("volume", server: "node-1").description == "volume.node-1")
        #expect(Target(topic: "volume", isFanout: true).description == "volume (fanout)")
    }

    @Test(arguments: [
        Target.topic(""), .topic("a*"), .topic("#"), .topic("a", server: "*"), .topic("a\u{0}"),
        .topic(String(repeating: "x", count: 201)), .topic("a", exchange: "x\ny"),
        .topic(String(repeating: "x", count: 150), server: String(repeating: "y", count: 150)),
    ])
    func `a target that the wire cannot carry is refused`(target: Target) {
        let error = #expect(throws: RPCError.self) { try target.validated() }
        #expect(error?.code == .invalidTarget)
    }

    @Test(arguments: [Target.topic("cinder-volume", server: "node@lvm"), .topic("a.b.c"), .topic("größe")])
    func `an ordinary target passes`(target: Target) throws {
        #expect(try target.validated() == target)
    }
}
