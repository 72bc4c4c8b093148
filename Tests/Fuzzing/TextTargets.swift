import AMQPClient
import MessagingRabbitMQ
import PostgreSQL

@testable import Messaging
@testable import ServiceHealth

/// Short texts: addresses, versions, times, the heads of requests.
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

    /// Where the registry is, which libpq reads.
    @Sendable static func database(_ bytes: [UInt8]) {
        do {
            _ = try PostgreSQLConfiguration(url: String(decoding: bytes, as: UTF8.self))
        } catch {
            _ = error.description
        }
    }

    /// The lines are the two headers of a trace's context.
    @Sendable static func trace(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        let texts = lines.map { String(decoding: $0, as: UTF8.self) }
        var headers = [TraceParent.Header.parent: texts[0]]
        if texts.count > 1 { headers[TraceParent.Header.state] = texts[1] }
        guard let parent = TraceParent(headers) else { return }
        claim(TraceParent(parent.headers) == parent, "a trace has changed")
        claim(parent.traceID.utf8.count == 32, "a trace's id is cut")
    }

    /// What a health probe sends, the first byte of the input saying in which pieces.
    @Sendable static func http(_ bytes: [UInt8]) {
        guard let size = bytes.first, size > 0 else { return }
        let text = Array(bytes.dropFirst())
        // Sixteen pieces at most: each reads all that is there again.
        let piece = max(Int(size), text.count / 16)
        var end = 0
        var inPieces = HTTPRequest.Reading.unfinished
        while inPieces == .unfinished, end < text.count {
            end = min(text.count, end + piece)
            inPieces = HTTPRequest.read(Array(text[..<end]))
        }
        let whole = HTTPRequest.read(text)
        let isLong = text.count > HTTPRequest.maximumHead
        claim(isLong || inPieces == whole, "pieces are read as \(inPieces), all as \(whole)")
        if case .request(let request) = whole {
            claim(request.path.utf8.first == UInt8(ascii: "/"), "the path is \(request.path)")
        }
    }
}
