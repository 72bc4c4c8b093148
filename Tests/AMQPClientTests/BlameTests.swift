import Logging
import Testing

@testable import AMQPClient

@Suite struct BlameTests {
    @Test func `a message is not blamed for a virtual host or a user of its exchange's name`() {
        let connection = AMQPConnection(AMQPConfiguration(), logger: Logger(label: "test"))
        func request(_ exchange: String) -> PublishRequest {
            PublishRequest(
                AMQPMessage("x"),
                exchange: exchange,
                routingKey: "a",
                mandatory: true,
                channelID: 1,
                deadline: .now + .seconds(1),
                isPatient: false,
                on: connection
            )
        }
        let missing = CloseReply(
            code: 404,
            text: "NOT_FOUND - no exchange 'neutron' in vhost 'openstack'",
            methodID: MethodID.basicPublish
        )
        #expect(request("neutron").isBlamed(by: missing))
        #expect(!request("openstack").isBlamed(by: missing))
        let refused = CloseReply(
            code: 403,
            text: "ACCESS_REFUSED - access to exchange 'nova' in vhost '/' refused for user 'openstack'",
            methodID: MethodID.basicPublish
        )
        #expect(request("nova").isBlamed(by: refused))
        #expect(!request("openstack").isBlamed(by: refused))
    }
}
