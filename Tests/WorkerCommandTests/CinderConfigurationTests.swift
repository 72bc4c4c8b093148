import AMQPClient
import ConfigurationYAML
import Foundation
import Logging
import Messaging
import MessagingRabbitMQ
import ServiceRuntime
import Testing
import VolumeService

@testable import WorkerCommand

/// A production `cinder.conf`, with three backends and all that other programs have in it.
struct CinderConfigurationTests {
    private let launcher = VolumeWorker.launcher.adding(options: RabbitMQOptions.all, formats: [.yaml])

    private var path: String {
        get throws { try #require(Bundle.module.path(forResource: "Fixtures/cinder", ofType: "conf")) }
    }

    private func configuration() throws -> ServiceConfiguration {
        try ServiceConfiguration(
            options: launcher.options,
            environment: [:],
            files: [try path],
            formats: launcher.formats
        )
    }

    @Test func `its options are in force`() throws {
        let configuration = try configuration()
        #expect(configuration[.host] == "storage-17")
        #expect(configuration[.controlExchange] == "openstack")
        #expect(configuration[.rpcResponseTimeout] == .seconds(90))
        #expect(configuration[.reportInterval] == .seconds(10))
        #expect(configuration[.executorThreadPoolSize] == 32)
        #expect(configuration[.rpcPingEnabled])
        #expect(configuration.logLevel == .info)
        #expect(configuration.enabledBackends == ["lvm-fast", "lvm-slow", "nvme"])
    }

    @Test func `a scheduler takes its own from it`() throws {
        let launcher = SchedulerWorker.launcher.adding(options: RabbitMQOptions.all, formats: [.yaml])
        let configuration = try ServiceConfiguration(
            options: launcher.options,
            environment: [:],
            files: [try path],
            formats: launcher.formats
        )
        #expect(configuration[.serviceDownTime] == .seconds(75))
        #expect(configuration[.reportInterval] == .seconds(10))
        #expect(configuration[.host] == "storage-17")
    }

    @Test func `its backends have what their sections say, else what all have`() throws {
        let configuration = try configuration()
        let fast = try configuration.backend("lvm-fast")
        #expect(fast[.volumeBackendName] == "LVM_FAST")
        #expect(fast[.statePath] == "/srv/steward/fast")
        #expect(fast[.maximumCapacity] == 4000)
        #expect(fast[.reservedPercentage] == 10)
        #expect(fast[.driverTimeLimit] == .seconds(120))
        let slow = try configuration.backend("lvm-slow")
        #expect(slow[.reservedPercentage] == 5)
        #expect(slow[.maximumCapacity] == 32000)
        let nvme = try configuration.backend("nvme")
        #expect(nvme[.volumeBackendName] == "NVME")
        #expect(nvme[.statePath] == "/srv/steward/nvme")
        #expect(nvme[.maximumCapacity] == 0)
    }

    @Test func `its broker is used as it says`() throws {
        let configuration = try configuration()
        let settings = try RabbitMQConfiguration(
            url: configuration[.transportURL].reveal(),
            options: RabbitMQOptions.values(in: configuration)
        )
        #expect(settings.connection.hosts.map(\.name) == ["10.20.0.11", "10.20.0.12", "10.20.0.13"])
        #expect(settings.connection.hosts.allSatisfy { $0.password.revealed == "Wint3r!hush" })
        #expect(settings.connection.virtualHost == "cinder")
        #expect(settings.connection.heartbeat == .seconds(45))
        #expect(settings.connection.reconnectDelay == .milliseconds(500))
        #expect(settings.connection.tls == nil)
        #expect(settings.queueProfile == .quorum(QueueProfile.QuorumLimits()))
        #expect(settings.usesQuorumForTransientQueues)
        #expect(!settings.mirrorsQueues)
    }

    @Test func `what it has for others is named, and nothing of it is a mistake`() throws {
        let problems = launcher.problems(environment: [:], files: [try path])
        #expect(problems.allSatisfy { !$0.isError })
        #expect(problems.filter { $0.kind == .unknown }.count > 70)
        let lines = problems.map { "\($0.place.line ?? 0): \($0.explanation)" }
        let text = try String(contentsOfFile: try path, encoding: .utf8).split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        for name in ["keystone_authtoken.password", "database.connection", "lvm-fast.volume_driver", "log_dir"] {
            let line = try #require(problems.first { $0.message == "option '\(name)' is not known" }?.place.line)
            #expect(text[line - 1].hasPrefix(String(name.split(separator: ".").last ?? "")), "\(name) in line \(line)")
        }
        #expect(
            lines.contains {
                $0.hasSuffix(
                    "'oslo_messaging_rabbit.kombu_ssl_ca_certs' is now called 'oslo_messaging_rabbit.ssl_ca_file'"
                )
            }
        )
        #expect(!lines.joined().contains("hush"))
    }

    @Test func `all of it can be told without a secret`() throws {
        let report = try configuration().report
        #expect(!report.description.contains("hush"))
        #expect(report["transport_url"]?.stringValue?.contains("cinder:***@10.20.0.12:5672") == true)
        #expect(report["oslo_messaging_rabbit"]?["heartbeat_timeout_threshold"] == 45)
        #expect(report["oslo_messaging_rabbit"]?["rabbit_interval_max"] == .null)
        #expect(report["lvm-slow"]?["max_capacity_gb"] == 32000.0)
    }

    @Test func `one wrong value in it is named with its line`() throws {
        let text = try String(contentsOfFile: try path, encoding: .utf8)
            .replacing("heartbeat_timeout_threshold = 45", with: "heartbeat_timeout_threshold = soon")
        let file = FileManager.default.temporaryDirectory.appending(path: "cinder-\(UUID().uuidString).conf")
        try Data(text.utf8).write(to: file)
        defer { unlink(file.path) }
        let errors = launcher.problems(environment: [:], files: [file.path]).filter(\.isError)
        #expect(
            errors.map(\.explanation) == [
                "option 'oslo_messaging_rabbit.heartbeat_timeout_threshold' is 'soon'; "
                    + "it must be a whole number between 0 and 65535"
            ]
        )
        #expect(errors.first?.place.line == 135)
    }
}

struct RabbitMQOptionsTests {
    private func settings(_ url: String, _ overrides: [String: String]) throws -> RabbitMQConfiguration {
        let launcher = VolumeWorker.launcher.adding(options: RabbitMQOptions.all)
        let configuration = try ServiceConfiguration(
            options: launcher.options,
            overrides: Dictionary(uniqueKeysWithValues: overrides.map { ("oslo_messaging_rabbit.\($0)", $1) }),
            environment: [:]
        )
        return try RabbitMQConfiguration(url: url, options: RabbitMQOptions.values(in: configuration))
    }

    @Test func `without options a transport is as its URL alone makes it`() throws {
        let settings = try settings("rabbit://", [:])
        let plain = try RabbitMQConfiguration(url: "rabbit://")
        #expect(settings.queueProfile == plain.queueProfile)
        #expect(settings.connection.heartbeat == plain.connection.heartbeat)
        #expect(settings.connection.tls == nil && settings.prefetch == nil)
    }

    @Test func `the group's options reach the transport, and the URL's go before them`() throws {
        let settings = try settings(
            "rabbit://h/?heartbeat_timeout_threshold=7",
            [
                "heartbeat_timeout_threshold": "9", "rabbit_qos_prefetch_count": "11", "ssl": "yes",
                "ssl_ca_file": "/ca.pem", "amqp_durable_queues": "true", "amqp_auto_delete": "1",
                "rabbit_retry_interval": "3", "kombu_reconnect_delay": "0.25", "rabbit_login_method": "amqplain",
                "rabbit_transient_queues_ttl": "60",
            ]
        )
        #expect(settings.connection.heartbeat == .seconds(7))
        #expect(settings.prefetch == 11)
        #expect(settings.connection.tls?.caFile == "/ca.pem")
        #expect(settings.queueProfile == .durable)
        #expect(settings.isAutoDeleted)
        #expect(settings.connection.backoff.initial == .seconds(3))
        #expect(settings.connection.reconnectDelay == .milliseconds(250))
        #expect(settings.connection.mechanism == .amqplain)
        #expect(settings.transientQueuesExpireAfter == .seconds(60))
    }

    @Test func `a URL that is encrypted stays so, whatever the group says`() throws {
        #expect(try settings("amqps://h/", ["ssl": "false"]).connection.tls != nil)
    }

    @Test func `every option of the transport is one, with help`() {
        #expect(RabbitMQOptions.all.count > 30)
        for option in RabbitMQOptions.all {
            #expect(option.section == "oslo_messaging_rabbit")
            #expect(!option.help.isEmpty)
        }
    }
}
