import Messaging
import Testing

@testable import VolumeService

@Suite struct SchedulingTests {
    static func candidate(
        _ host: String = "node-1",
        free: JSONValue? = 10.0,
        claimed: Int = 0,
        age: Duration = .zero,
        more: [String: JSONValue] = [:]
    ) -> HostCandidate {
        var capabilities = more
        capabilities["free_capacity_gb"] = free
        return HostCandidate(host: host, pool: "files", capabilities: capabilities, age: age, claimed: claimed)
    }

    static func request(_ size: Int, requiring required: [String: JSONValue]? = nil) throws -> ScheduleVolume {
        ScheduleVolume(volumeID: try id("one"), size: size, requiredCapabilities: required)
    }

    static func report(_ host: String, _ capabilities: [String: JSONValue], timestamp: String? = nil) -> ServiceReport {
        ServiceReport(serviceName: "volume", host: host, capabilities: capabilities, timestamp: timestamp)
    }

    @Test(arguments: [
        (JSONValue.double(10), 0, 10, true), (.double(10), 0, 11, false), (.integer(10), 0, 10, true),
        (.double(10), 3, 8, false), (.double(10), 3, 7, true), (.string("infinite"), 0, Int.max, true),
        (.string("unknown"), 0, 1000, true), (.double(.infinity), 0, 5, true), (.double(.nan), 0, 5, true),
        (.string("12"), 0, 5, true),
    ])
    func `the capacity filter counts what was scheduled since the report`(
        free: JSONValue,
        claimed: Int,
        size: Int,
        fits: Bool
    ) throws {
        let refusal = CapacityFilter().refusal(
            of: Self.candidate(free: free, claimed: claimed),
            for: try Self.request(size)
        )
        #expect((refusal == nil) == fits)
    }

    @Test func `the capacity filter keeps the reserve back and wants a capacity`() throws {
        let reserved = Self.candidate(more: ["total_capacity_gb": 20, "reserved_percentage": 25])
        #expect(CapacityFilter().refusal(of: reserved, for: try Self.request(5)) == nil)
        #expect(CapacityFilter().refusal(of: reserved, for: try Self.request(6)) != nil)
        #expect(CapacityFilter().refusal(of: Self.candidate(free: nil), for: try Self.request(1)) != nil)
    }

    @Test func `the capabilities filter wants equal values`() throws {
        let filter = CapabilitiesFilter()
        let candidate = Self.candidate(more: ["volume_backend_name": "files", "multiattach": false, "level": 1])
        #expect(filter.refusal(of: candidate, for: try Self.request(1)) == nil)
        #expect(filter.refusal(of: candidate, for: try Self.request(1, requiring: ["level": 1.0])) == nil)
        #expect(
            filter.refusal(of: candidate, for: try Self.request(1, requiring: ["volume_backend_name": "files"])) == nil
        )
        for required in [["multiattach": true], ["absent": nil], ["volume_backend_name": "lvm"]]
            as [[String: JSONValue]]
        {
            #expect(filter.refusal(of: candidate, for: try Self.request(1, requiring: required)) != nil)
        }
    }

    @Test func `old reports and backends that are down are refused`() throws {
        let filter = FreshnessFilter(limit: .seconds(60))
        #expect(filter.refusal(of: Self.candidate(age: .seconds(60)), for: try Self.request(1)) == nil)
        #expect(filter.refusal(of: Self.candidate(age: .seconds(61)), for: try Self.request(1)) != nil)
        let down = Self.candidate(more: ["backend_state": "down"])
        #expect(BackendStateFilter().refusal(of: down, for: try Self.request(1)) != nil)
        #expect(BackendStateFilter().refusal(of: Self.candidate(), for: try Self.request(1)) == nil)
    }

    @Test func `the pool with most space left wins, then the name decides`() throws {
        let selection = HostSelection(filters: [CapacityFilter()], weighers: [FreeCapacityWeigher()])
        let (ranked, refusals) = selection.rank(
            [
                Self.candidate("d", free: 10.0, claimed: 9), Self.candidate("c"), Self.candidate("b"),
                Self.candidate("a", free: 1.0), Self.candidate("e", free: 20.0), Self.candidate("f", free: "unknown"),
            ],
            for: try Self.request(2)
        )
        #expect(ranked.map(\.host) == ["e", "b", "c", "f"])
        #expect(refusals.keys.sorted() == ["a#files", "d#files"])
        #expect(refusals["a#files"] == "1.0 GiB are free, 2 are needed")
    }

    @Test func `a weigher before decides before a weigher behind`() throws {
        struct ByName: HostWeigher {
            let name: String
            func weight(of candidate: HostCandidate, for request: ScheduleVolume) -> Double {
                candidate.host == name ? 1 : 0
            }
        }
        let selection = HostSelection(filters: [], weighers: [ByName(name: "a"), FreeCapacityWeigher()])
        let candidates = [Self.candidate("c", free: 30.0), Self.candidate("b", free: 20.0), Self.candidate("a")]
        #expect(selection.rank(candidates, for: try Self.request(1)).ranked.map(\.host) == ["a", "c", "b"])
    }

    // MARK: Table

    @Test func `reports are counted, and an older one is dropped`() {
        var table = HostTable()
        #expect(
            table.take(Self.report("a", ["n": 1], timestamp: "2026-01-02T03:04:05.000001"), at: .seconds(1)) == .taken
        )
        #expect(
            table.take(Self.report("a", ["n": 2], timestamp: "2026-01-02T03:04:04.999999"), at: .seconds(2)) == .older
        )
        #expect(table.hosts["a"]?.capabilities == ["n": 1])
        // Late or not, it shows that the host lives.
        #expect(table.hosts["a"]?.receivedAt == .seconds(2))
        #expect(table.take(Self.report("a", ["n": 3]), at: .seconds(3)) == .taken)
        #expect(
            table.take(Self.report("a", ["n": 4], timestamp: "2026-01-02T03:04:04.999999"), at: .seconds(4)) == .older
        )
        #expect(table.hosts["a"]?.reports == 2)
    }

    @Test func `a host of a cluster is known by its cluster`() {
        var table = HostTable()
        var report = Self.report("a", [:])
        report.clusterName = "cluster"
        #expect(table.take(report, at: .zero) == .taken)
        #expect(table.hosts.keys.sorted() == ["cluster"])
    }

    @Test func `what was scheduled is taken off until the next report`() throws {
        var table = HostTable()
        let capabilities: [String: JSONValue] = ["free_capacity_gb": 10.0, "volume_backend_name": "files"]
        _ = table.take(Self.report("a", capabilities), at: .zero)
        let candidate = try #require(table.candidates(serviceName: "volume", at: .zero).first)
        table.claim(try id("one"), size: 4, on: candidate)
        table.claim(try id("one"), size: 4, on: candidate)
        table.claim(try id("two"), size: 1, on: candidate)
        #expect(table.candidates(serviceName: "volume", at: .zero).first?.usableCapacity == 5)
        table.release(try id("two"), on: "a")
        #expect(table.candidates(serviceName: "volume", at: .zero).first?.usableCapacity == 6)
        _ = table.take(Self.report("a", capabilities), at: .zero)
        #expect(table.candidates(serviceName: "volume", at: .zero).first?.usableCapacity == 10)
    }

    @Test func `each pool of a host is a candidate with what its host says`() {
        var table = HostTable()
        let pools: JSONValue = [
            ["pool_name": "fast", "free_capacity_gb": 1.5], ["pool_name": "slow", "free_capacity_gb": 100], ["free": 1],
            7,
        ]
        _ = table.take(Self.report("a@lvm", ["storage_protocol": "iSCSI", "pools": pools]), at: .zero)
        let candidates = table.candidates(serviceName: "volume", at: .zero)
        #expect(candidates.map(\.name) == ["a@lvm#fast", "a@lvm#slow"])
        #expect(candidates.map(\.usableCapacity) == [1.5, 100])
        #expect(candidates.allSatisfy { $0.capabilities["storage_protocol"] == "iSCSI" })
        #expect(candidates.allSatisfy { $0.capabilities["pools"] == nil })
    }

    @Test func `peers cannot make the table grow without bound, and hosts are forgotten in time`() {
        var table = HostTable(capacity: 2)
        #expect(table.take(Self.report("a", [:]), at: .seconds(0)) == .taken)
        #expect(table.take(Self.report("b", [:]), at: .seconds(10)) == .taken)
        #expect(table.take(Self.report("c", [:]), at: .seconds(20)) == .full)
        #expect(table.take(Self.report("b", [:]), at: .seconds(20)) == .taken)
        table.forget(olderThan: .seconds(15), at: .seconds(20))
        #expect(table.hosts.keys.sorted() == ["b"])
    }

    @Test func `assignments are remembered for a time, and not without bound`() throws {
        var assignments = Assignments()
        let candidate = Self.candidate()
        for number in 0..<10_001 {
            assignments.note(try id("v-\(number)"), size: 1, candidate: candidate, at: .seconds(number))
        }
        #expect(assignments.assignment(of: try id("v-0"), after: .zero) == nil)
        #expect(assignments.assignment(of: try id("v-10000"), after: .zero)?.host == "node-1")
        #expect(assignments.assignment(of: try id("v-10000"), after: .seconds(10_001)) == nil)
        assignments.forget(try id("v-10000"))
        #expect(assignments.assignment(of: try id("v-10000"), after: .zero) == nil)
    }
}
