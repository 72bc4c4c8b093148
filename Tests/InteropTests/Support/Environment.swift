import Foundation
import Messaging
import MessagingRabbitMQ
import Testing

/// What these tests cannot do without; a missing part fails them, it does not skip them.
enum InteropEnvironment {
    struct Missing: Error, CustomStringConvertible {
        let variable: String
        let purpose: String

        var description: String {
            "\(self.variable) is not set: it must hold \(self.purpose). scripts/test sets it and runs these tests."
        }
    }

    /// The broker that both sides meet at, with options of oslo's driver if need be.
    static func brokerURL(options: String = "") throws -> String {
        let url = try self.value("AMQP_URL", "the URL of a RabbitMQ broker")
        return options.isEmpty ? url : url + (url.contains("?") ? "&" : "?") + options
    }

    /// A Python that has oslo.messaging.
    static var python: String {
        get throws { try self.value("STEWARD_PEER_PYTHON", "the path of a Python with oslo.messaging") }
    }

    private static func value(_ variable: String, _ purpose: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[variable], !value.isEmpty else {
            throw Missing(variable: variable, purpose: purpose)
        }
        return value
    }

    /// A topic that no other test and no other run uses.
    static func uniqueTopic(_ name: String) -> String {
        "\(name)-\(UUID().uuidString.prefix(8).lowercased())"
    }
}

/// Lends a transport to the tests' broker.
func withTransport<Value: Sendable>(
    options: String = "",
    _ body: (RabbitMQTransport) async throws -> Value
) async throws -> Value {
    let url = try InteropEnvironment.brokerURL(options: options)
    let transport = RabbitMQTransport(try RabbitMQConfiguration(url: url))
    do {
        let value = try await body(transport)
        await transport.close()
        return value
    } catch {
        await transport.close()
        throw error
    }
}

/// The error of a call that must fail.
func failure(_ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) async -> RPCError? {
    do {
        try await body()
        Issue.record("it did not fail", sourceLocation: sourceLocation)
    } catch let error as RPCError {
        return error
    } catch {
        Issue.record("it failed with \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
