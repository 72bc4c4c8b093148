import Foundation
import Messaging
import Testing

@testable import VolumeService

/// The shapes of the wire: what other languages send and see.
@Suite struct ContractTests {
    private func wire(_ value: some Encodable) throws -> String {
        try RawJSON(encoding: value).value().description
    }

    private func read<Value: Decodable>(_ text: String, as type: Value.Type = Value.self) throws -> Value {
        try RawJSON(checking: Array(text.utf8)).decode(type)
    }

    @Test func `arguments have cinder's names`() throws {
        let one = try id("one")
        #expect(
            try wire(CreateVolume(volumeID: one, size: 2, name: "n")) == #"{"name":"n","size":2,"volume_id":"one"}"#
        )
        #expect(try wire(CreateVolume(volumeID: one, size: 2)) == #"{"size":2,"volume_id":"one"}"#)
        #expect(try wire(ExtendVolume(volumeID: one, newSize: 3)) == #"{"new_size":3,"volume_id":"one"}"#)
        #expect(try wire(VolumeReference(volumeID: one)) == #"{"volume_id":"one"}"#)
        #expect(try wire(GetCapabilities(discover: true)) == #"{"discover":true}"#)
        #expect(try wire(GetPools(filters: ["name": "a"])) == #"{"filters":{"name":"a"}}"#)
        #expect(
            try wire(ScheduleVolume(volumeID: one, size: 1, requiredCapabilities: ["multiattach": false]))
                == #"{"required_capabilities":{"multiattach":false},"size":1,"volume_id":"one"}"#
        )
    }

    @Test func `methods have cinder's names and versions`() {
        #expect(VolumeRPC.version == "3.20")
        #expect(SchedulerRPC.version == "3.12")
        #expect(VolumeRPC.createVolume.name == "create_volume")
        #expect(VolumeRPC.createVolume.since == "3.0")
        #expect(VolumeRPC.createVolume.delivery == .atLeastOnce)
        #expect(VolumeRPC.publishServiceCapabilities.name == "publish_service_capabilities")
        #expect(SchedulerRPC.updateServiceCapabilities.name == "update_service_capabilities")
        #expect(SchedulerRPC.updateServiceCapabilities.since == "3.0")
        #expect(SchedulerRPC.notifyServiceCapabilities.since == "3.1")
        #expect(DiagnosticsRPC.diskUsage.namespace == "diagnostics")
    }

    @Test func `a null or absent optional argument is its default, and unknown ones are let go`() throws {
        let request: CreateVolume = try read(#"{"volume_id": "one", "size": 1, "name": null, "later": [1]}"#)
        #expect(request == CreateVolume(volumeID: try id("one"), size: 1))
        #expect(try read("{}", as: GetCapabilities.self).discover == false)
        #expect(try read("{}", as: GetPools.self).filters == nil)
        #expect(try read(#"{"filters": null}"#, as: GetPools.self).filters == nil)
    }

    @Test func `a report of cinder's volume service is understood`() throws {
        // As captured from cinder 29.0.0.
        let report: ServiceReport = try read(
            """
            {"service_name": "volume", "host": "node1@lvm", "capabilities": {"volume_backend_name": "lvm",
            "storage_protocol": "iSCSI", "driver_version": "3.0.0", "vendor_name": "Open Source", "pools": [{"pool_name":
            "lvm", "total_capacity_gb": 20.5, "free_capacity_gb": 10.25, "allocated_capacity_gb": 2,
            "reserved_percentage": 0, "QoS_support": false, "location_info": "LVMVolumeDriver:node1:vg:thin:0",
            "filter_function": null, "goodness_function": null, "multiattach": true, "cacheable": true}],
            "filter_function": null, "goodness_function": null, "replication_enabled": false}, "cluster_name": null,
            "timestamp": "2026-01-02T03:04:05.678901"}
            """
        )
        var table = HostTable()
        #expect(table.take(report, at: .zero) == .taken)
        let candidate = try #require(table.candidates(serviceName: "volume", at: .zero).first)
        #expect(candidate.name == "node1@lvm#lvm")
        #expect(candidate.usableCapacity == 10.25)
        #expect(candidate.capabilities["multiattach"] == true)
    }

    @Test func `both forms of a notification name the host`() throws {
        let new: ServiceNotification = try read(#"{"service_name": "volume", "capabilities": {}, "backend": "a@b"}"#)
        #expect(new.backend == "a@b")
        let old: ServiceNotification = try read(#"{"service_name": "volume", "capabilities": null, "host": "a"}"#)
        #expect(old.host == "a")
        #expect(old.capabilities == nil)
    }

    @Test func `a volume travels with cinder's names`() throws {
        let volume = Volume(
            id: try id("one"),
            size: 1,
            status: .errorDeleting,
            fault: "why",
            host: "node-1",
            createdAt: "2026-01-02T03:04:05.678901",
            updatedAt: "2026-01-02T03:04:06.000000"
        )
        let text = try wire(volume)
        #expect(text.contains(#""created_at":"2026-01-02T03:04:05.678901""#))
        #expect(text.contains(#""status":"error_deleting""#))
        #expect(try read(text, as: Volume.self) == volume)
    }

    @Test func `errors are cinder's exceptions, and come back as they went`() throws {
        let one = try id("one")
        let errors: [(VolumeError, String)] = [
            (.notFound(one), "VolumeNotFound"), (.conflict(one, "r"), "InvalidVolume"),
            (.invalidInput("r"), "InvalidInput"),
            (.insufficientSpace(one, requested: 3, free: 1.239, total: 2), "VolumeSizeExceedsAvailableQuota"),
            (.backendFailed("d"), "VolumeBackendAPIException"), (.noValidBackend(["a": "full"]), "NoValidBackend"),
        ]
        for (error, name) in errors {
            let failure = error.remoteFailure
            #expect(failure.className == name)
            #expect(failure.module == "cinder.exception")
            let back = try #require(VolumeError(failure))
            #expect(back.code == error.code)
            #expect(back.message == error.message)
            #expect(back.details == error.details)
        }
        #expect(VolumeError(RemoteFailure(className: "ValueError", module: "builtins", message: "")) == nil)
        #expect(VolumeError(RemoteFailure(className: "Odd", module: "cinder.exception", message: "")) == nil)
    }

    @Test func `times have the form that cinder's scheduler parses`() throws {
        let pattern = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}/
        let text = wireTimestamp()
        #expect(text.wholeMatch(of: pattern) != nil)
        let formatter = ISO8601DateFormatter()
        let parsed = try #require(formatter.date(from: String(text.prefix(19)) + "Z"))
        #expect(abs(parsed.timeIntervalSinceNow) < 5)
    }
}
