extension AMQPConfiguration {
    /// Reads an AMQP URL.
    ///
    ///     amqp://user:password@host:5672,[::1]:5673/vhost?heartbeat=30
    ///     amqps://host/%2Fvhost?cacertfile=/etc/ssl/ca.pem
    ///
    /// - The schemes are `amqp` (port 5672) and `amqps` (TLS, port 5671).
    /// - Several hosts are separated by commas. Each has its own credentials; without any it is `guest:guest`.
    /// - User, password and virtual host are percent-decoded. A host list ends at the first `/`.
    /// - The virtual host is the path without its first `/`; no path and an empty one both mean `/`.
    /// - The query knows `heartbeat` (seconds), `connection_timeout` (milliseconds), `channel_max`, `frame_max`,
    ///   `auth_mechanism` (`plain`, `amqplain`, `external`), `connection_name`, and with TLS `cacertfile`, `certfile`, `keyfile`,
    ///   `verify` (`verify_peer`, `verify_none`) and `server_name_indication`. Any other name is an error, so that a
    ///   misspelt option is not silently without effect.
    ///
    /// - Throws: ``AMQPError/Code/invalidConfiguration``. The message never repeats credentials.
    public init(url: String) throws(AMQPError) {
        self.init(hosts: [])
        var rest = url[...]
        switch url.prefix(8).lowercased() {
        case "amqps://":
            self.tls = TLS()
            rest = rest.dropFirst(8)
        case let start where start.hasPrefix("amqp://"): rest = rest.dropFirst(7)
        default: throw Self.refusal("it does not begin with 'amqp://' or 'amqps://'")
        }
        if rest.contains("#") {
            throw Self.refusal("it holds a '#'; write it as %23")
        }
        // Where a '?' or '/' of a password is not encoded, the rest of the password ends up behind it. Nothing of that may
        // show up in a message below.
        if let end = rest.firstIndex(where: { $0 == "?" || $0 == "/" }), rest[end...].contains("@") {
            throw Self.refusal(
                "an '@' follows the first '/' or '?'; in a password write '/' as %2F and '?' as %3F, elsewhere '@' as %40"
            )
        }
        var query: Substring = ""
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        if slash < rest.endIndex {
            let path = rest[rest.index(after: slash)...]
            if path.contains("/") {
                throw Self.refusal("the virtual host holds a '/'; write it as %2F")
            }
            self.virtualHost = path.isEmpty ? "/" : try Self.decoded(path, "the virtual host")
        }
        let defaultPort = self.tls == nil ? 5672 : 5671
        for part in rest[..<slash].split(separator: ",", omittingEmptySubsequences: true) {
            self.hosts.append(try Self.host(part, defaultPort: defaultPort))
        }
        if self.hosts.isEmpty {
            self.hosts = [Host(name: "localhost", port: defaultPort)]
        }
        try self.apply(query: query)
        try self.validate()
    }

    private static func host(_ part: Substring, defaultPort: Int) throws(AMQPError) -> Host {
        var host = Host(name: "localhost", port: defaultPort)
        var address = part
        if let at = part.lastIndex(of: "@") {
            let credentials = part[..<at]
            address = part[part.index(after: at)...]
            let colon = credentials.firstIndex(of: ":")
            host.user = try self.decoded(credentials[..<(colon ?? credentials.endIndex)], "a user")
            let password = colon.map { credentials[credentials.index(after: $0)...] } ?? ""
            host.password = AMQPSecret(try self.decoded(password, "a password"))
        }
        var port: Substring?
        if address.first == "[" {
            guard let end = address.firstIndex(of: "]") else {
                throw self.refusal("the bracket of an IPv6 address is not closed")
            }
            host.name = String(address[address.index(after: address.startIndex)..<end])
            let tail = address[address.index(after: end)...]
            if tail.first == ":" {
                port = tail.dropFirst()
            } else if !tail.isEmpty {
                throw self.refusal("something that is no port follows an IPv6 address")
            }
        } else if let colon = address.lastIndex(of: ":") {
            port = address[address.index(after: colon)...]
            host.name = try self.decoded(address[..<colon], "a host name")
            if host.name.contains(":") {
                throw self.refusal("a host has more than one ':'; an IPv6 address needs brackets")
            }
        } else {
            host.name = try self.decoded(address, "a host name")
        }
        if host.name.isEmpty {
            host.name = "localhost"
        }
        if let port, !port.isEmpty {
            guard let number = Int(port), (1...65_535).contains(number) else {
                // Not repeated: it may be part of a password.
                throw self.refusal(
                    "a port is no number from 1 to 65535; ':', '@' and ',' in a password must be percent-encoded"
                )
            }
            host.port = number
        }
        return host
    }

    private mutating func apply(query: Substring) throws(AMQPError) {
        for pair in query.split(separator: "&", omittingEmptySubsequences: true) {
            let equals = pair.firstIndex(of: "=") ?? pair.endIndex
            let name = try Self.decoded(pair[..<equals], "an option's name")
            let value = try Self.decoded(equals < pair.endIndex ? pair[pair.index(after: equals)...] : "", name)
            func number(_ range: ClosedRange<Int>) throws(AMQPError) -> Int {
                guard let number = Int(value), range.contains(number) else {
                    throw Self.refusal("the option \(name) is '\(value)'; it must be a number in \(range)")
                }
                return number
            }
            switch name {
            case "heartbeat": self.heartbeat = .seconds(try number(0...65_535))
            case "connection_timeout": self.connectTimeout = .milliseconds(try number(1...3_600_000))
            case "channel_max": self.channelMax = try number(2...65_535)
            case "frame_max": self.frameMax = try number(4_096...(1 << 24))
            case "connection_name": self.connectionName = value
            case "auth_mechanism":
                switch value.lowercased() {
                case "plain": self.mechanism = .plain
                case "amqplain": self.mechanism = .amqplain
                case "external": self.mechanism = .external
                default:
                    throw Self.refusal(
                        "the option auth_mechanism is '\(value)'; it must be plain, amqplain or external"
                    )
                }
            case "cacertfile", "certfile", "keyfile", "verify", "server_name_indication":
                try self.applyTLS(option: name, value: value)
            default: throw Self.refusal("the option '\(name)' is not known")
            }
        }
    }

    private mutating func applyTLS(option: String, value: String) throws(AMQPError) {
        if self.tls == nil {
            throw Self.refusal("the option \(option) needs the scheme amqps")
        }
        switch (option, value) {
        case ("cacertfile", _): self.tls?.caFile = value
        case ("certfile", _): self.tls?.certificateFile = value
        case ("keyfile", _): self.tls?.keyFile = value
        case ("server_name_indication", _): self.tls?.serverName = value
        case ("verify", "verify_peer"): break
        case ("verify", "verify_none"):
            self.tls?.verifiesPeer = false
            self.tls?.verifiesHostName = false
        default: throw Self.refusal("the option verify is '\(value)'; it must be verify_peer or verify_none")
        }
    }

    private static func decoded(_ text: Substring, _ what: String) throws(AMQPError) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next()?.hexDigit, let low = iterator.next()?.hexDigit else {
                throw self.refusal("\(what) holds a '%' that two hexadecimal digits do not follow")
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw self.refusal("\(what) is not UTF-8 after percent-decoding, or holds a zero byte")
        }
        return decoded
    }

    private static func refusal(_ message: String) -> AMQPError {
        AMQPError(.invalidConfiguration, operation: "AMQP URL", message: message)
    }
}

extension UInt8 {
    fileprivate var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
