/// Where the broker is and how it is to be used, as oslo.messaging's `transport_url` and RabbitMQ's AMQP URIs write it.
///
///     rabbit://user:password@host-1:5672,user:password@host-2:5672/vhost?rabbit_quorum_queue=true
///     amqps://user:password@broker.example/%2F
///
/// `rabbit://` is read by oslo.messaging's rules (wire contract 5.6), `amqp://` and `amqps://` by RabbitMQ's URI
/// specification; several hosts and oslo's options may stand in all of them. What a URL leaves out is filled in: host
/// `localhost`, user and password `guest`, virtual host `/`, port 5672, or 5671 after `amqps://`.
public struct TransportURL: Sendable, Hashable {
    /// One broker of a cluster, with the credentials that are used there.
    public struct Host: Sendable, Hashable {
        /// A DNS name or an IP address; IPv6 without its brackets.
        public let name: String
        /// The TCP port.
        public let port: Int
        /// Who logs in; a host without credentials does not inherit those of its neighbours.
        public let user: String
        /// The user's password.
        public let password: String
    }

    /// The brokers, in the order in which the URL names them; at least one.
    public let hosts: [Host]
    /// The virtual host: `/` unless the URL names another.
    public let virtualHost: String
    /// Whether the connection is encrypted: `amqps://`, or `ssl=true` among the options.
    public let isTLS: Bool
    /// The options of the query, by oslo's names and checked: flags are `true` or `false`, numbers are decimal.
    public let options: [String: String]
    /// The names of options that tune what only Python's library does; worth a line in a log.
    public let optionsWithoutEffect: [String]

    /// Reads a URL; an empty one means a broker on this machine, as for oslo.messaging.
    ///
    /// - Parameters:
    ///   - text: The URL.
    ///   - defaults: Values for options that the URL does not set, by oslo's names, such as a configuration file's group
    ///     `oslo_messaging_rabbit`; none by default.
    /// - Throws: `TransportURLError`; its message repeats no part of the URL that may hold a secret.
    public init(parsing text: String, defaults: [String: String] = [:]) throws(TransportURLError) {
        let parser = try TransportURLParser(text)
        let options = try parser.options(defaults: defaults)
        self.isTLS = try parser.isTLS(options)
        self.hosts = try parser.hosts()
        self.virtualHost = try parser.virtualHost()
        self.options = options.values.filter { $0.key != TransportOption.tls }
        self.optionsWithoutEffect = options.withoutEffect
    }

    /// An option that is a flag, or `nil` where the URL does not set it.
    public func flag(_ name: String) -> Bool? { self.options[name].map { $0 == "true" } }

    /// An option that is a whole number, or `nil` where the URL does not set it.
    public func integer(_ name: String) -> Int? { self.options[name].flatMap { Int($0) } }
}

/// A text that is no transport URL.
public struct TransportURLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong with the URL.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case scheme, syntax, host, encoding, virtualHost, unknownOption, invalidOption, unsupportedOption
        }
        private let kind: Kind

        /// No scheme, or one that this library does not speak.
        public static let scheme = Code(kind: .scheme)
        /// The text is not a URL.
        public static let syntax = Code(kind: .syntax)
        /// A host or its port cannot be used.
        public static let host = Code(kind: .host)
        /// A percent-encoded part is not text in UTF-8.
        public static let encoding = Code(kind: .encoding)
        /// The path is not the name of a virtual host.
        public static let virtualHost = Code(kind: .virtualHost)
        /// The query has an option that nobody knows.
        public static let unknownOption = Code(kind: .unknownOption)
        /// An option's value has the wrong type or is out of its range.
        public static let invalidOption = Code(kind: .invalidOption)
        /// An option asks for something that Python's library can do and this one cannot.
        public static let unsupportedOption = Code(kind: .unsupportedOption)

        /// The code's name.
        public var description: String { self.kind.rawValue }
    }

    /// What is wrong with the URL.
    public let code: Code
    /// What was wrong and what can be done, for people; free of secrets.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { "transport URL: \(self.message)" }
}

// MARK: - Descriptions without secrets

extension TransportURL: CustomStringConvertible, CustomDebugStringConvertible {
    /// The URL with its passwords masked, as it may be logged; `amqp://` or `amqps://`, whatever it was read from.
    public var description: String {
        let authority = self.hosts.map(\.description).joined(separator: ",")
        let query = self.options.sorted { $0.key < $1.key }
            .map { "\($0.key)=\(percentEncoded($0.value))" }
            .joined(separator: "&")
        let path = percentEncoded(self.virtualHost)
        return "\(self.isTLS ? "amqps" : "amqp")://\(authority)/\(path)\(query.isEmpty ? "" : "?\(query)")"
    }

    /// The same as ``description``.
    public var debugDescription: String { self.description }
}

extension TransportURL.Host: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// User, masked password, host and port.
    public var description: String {
        // Whatever stands in a name must not look like what follows one; an IPv6 address keeps its colons.
        let parts = self.name.split(separator: ":", omittingEmptySubsequences: false).map { percentEncoded(String($0)) }
        let address = parts.count > 1 ? "[\(parts.joined(separator: ":"))]" : parts[0]
        return "\(percentEncoded(self.user)):***@\(address):\(self.port)"
    }

    /// The same as ``description``.
    public var debugDescription: String { self.description }

    /// What `dump` and failing expectations of tests show: all but the password.
    public var customMirror: Mirror {
        Mirror(self, children: ["name": self.name, "port": self.port, "user": self.user, "password": "***"])
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
private func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            bytes.append(byte)
        default:
            bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
