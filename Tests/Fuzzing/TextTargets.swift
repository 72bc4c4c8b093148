import AMQPClient
import MessagingRabbitMQ

@testable import Messaging

/// Short texts: addresses, versions, times.
enum TextTargets {
    @Sendable static func url(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        _ = try? RabbitMQConfiguration(url: text)
        _ = try? AMQPConfiguration(url: text)
        let url: TransportURL
        do {
            url = try TransportURL(parsing: text)
        } catch {
            _ = error.description
            return
        }
        claim(!url.hosts.isEmpty, "a URL without a host was taken")
        do {
            let again = try TransportURL(parsing: url.description)
            claim(again.virtualHost == url.virtualHost, "the virtual host has changed")
            claim(again.isTLS == url.isTLS, "the encryption has changed")
            claim(again.options == url.options, "the options have changed")
            claim(again.hosts.map(\.name) == url.hosts.map(\.name), "the hosts have changed")
            claim(again.hosts.map(\.port) == url.hosts.map(\.port), "the ports have changed")
            claim(again.hosts.map(\.user) == url.hosts.map(\.user), "the users have changed")
            claim(again.hosts.allSatisfy { $0.password == "***" }, "a password was shown")
        } catch {
            fatalError("the description \(url.description) cannot be read: \(error)")
        }
    }

    @Sendable static func text(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let time = UTCTime(text) {
            claim(time.description == text, "a time has changed")
        }
        if let version = try? RPCVersion(parsing: text) {
            claim((try? RPCVersion(parsing: version.description)) == version, "a version has changed")
        }
        if let number = JSONBigInteger(text) {
            _ = Double(number)
            claim(JSONBigInteger(number.description) == number, "a number has changed")
        }
    }
}
