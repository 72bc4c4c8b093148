import Messaging
import ServiceRuntime
import Testing

@testable import VolumeService

@Suite struct ReportOrderTests {
    private static func report(_ value: JSONValue, _ incarnation: Int, _ sequence: Int) -> ServiceReport {
        let order = ReportOrder(incarnation: incarnation, sequence: sequence)
        return ServiceReport(
            serviceName: "volume",
            host: "a",
            capabilities: order.written(into: ["n": value]).objectValue,
            timestamp: nil
        )
    }

    @Test func `within one life nothing goes back, however often it is repeated and however late it comes`() {
        var table = HostTable()
        #expect(table.take(Self.report(2, 7, 2), at: .zero) == .taken)
        for time in 1...10 {
            #expect(table.take(Self.report(1, 7, 1), at: .seconds(time)) == .older)
            #expect(table.take(Self.report(1, 7, 2), at: .seconds(time)) == .older)
        }
        // The order is no capability.
        #expect(table.hosts["a"]?.capabilities == ["n": 2])
        // It lives all the same.
        #expect(table.hosts["a"]?.receivedAt == .seconds(10))
        #expect(table.take(Self.report(3, 7, 3), at: .seconds(11)) == .taken)
    }

    @Test func `a new life begins again, and the last of the former changes nothing`() {
        var table = HostTable()
        #expect(table.take(Self.report(1, 7, 900), at: .zero) == .taken)
        #expect(table.take(Self.report(2, 8, 1), at: .seconds(1)) == .taken)
        // Two that were on their way.
        #expect(table.take(Self.report(1, 7, 901), at: .seconds(1)) == .older)
        #expect(table.take(Self.report(1, 7, 902), at: .milliseconds(1500)) == .older)
        #expect(table.hosts["a"]?.capabilities == ["n": 2])
    }

    @Test func `a host whose clock was set back before it started again is heard after its second report`() {
        var table = HostTable()
        #expect(table.take(Self.report(1, 8, 5), at: .zero) == .taken)
        #expect(table.take(Self.report(2, 3, 1), at: .seconds(1)) == .older)
        #expect(table.take(Self.report(2, 3, 2), at: .seconds(2)) == .older)
        #expect(table.take(Self.report(2, 3, 3), at: .seconds(3)) == .setBack)
        #expect(table.hosts["a"]?.capabilities == ["n": 2])
        #expect(table.take(Self.report(3, 3, 4), at: .seconds(4)) == .taken)
    }

    @Test func `a host that changes its software is heard in both directions`() {
        var table = HostTable()
        let timed = ServiceReport(
            serviceName: "volume",
            host: "a",
            capabilities: ["n": 1],
            timestamp: "2026-01-02T03:04:05.000001"
        )
        #expect(table.take(timed, at: .zero) == .taken)
        #expect(table.take(Self.report(2, 3, 1), at: .seconds(1)) == .taken)
        #expect(table.take(timed, at: .seconds(2)) == .taken)
    }
}
