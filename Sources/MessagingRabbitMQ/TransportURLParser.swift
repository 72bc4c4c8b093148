/// Takes a transport URL apart, as bytes, because all that separates its parts is ASCII.
struct TransportURLParser {
    private typealias Bytes = ArraySlice<UInt8>

    /// Whose rules apply where the two differ.
    private enum Scheme: String {
        case rabbit, amqp, amqps
    }

    private let scheme: Scheme
    private let authority: Bytes
    /// From the first slash on, or `nil` where there is none.
    private let path: Bytes?
    private let query: Bytes

    init(_ text: String) throws(TransportURLError) {
        let bytes = Array((text.isEmpty ? "rabbit://" : text).utf8)
        guard !bytes.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
            throw TransportURLError(.syntax, "it holds spaces or control characters; percent-encode them")
        }
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), bytes[colon...].starts(with: "://".utf8) else {
            throw TransportURLError(.scheme, "it must begin with rabbit://, amqp:// or amqps://")
        }
        self.scheme = try Self.scheme(String(decoding: bytes[..<colon], as: UTF8.self).lowercased())
        let rest = bytes[(colon + 3)...]
        guard !rest.contains(UInt8(ascii: "#")) else {
            throw TransportURLError(.syntax, "'#' has no meaning in it; in a name or a password write %23")
        }
        let queryMark = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let slash = rest[..<queryMark].firstIndex(of: UInt8(ascii: "/"))
        self.authority = rest[..<(slash ?? queryMark)]
        self.path = slash.map { rest[$0..<queryMark] }
        self.query = rest[queryMark...].dropFirst()
    }

    private static func scheme(_ name: String) throws(TransportURLError) -> Scheme {
        if let scheme = Scheme(rawValue: name) { return scheme }
        if name.hasPrefix("kombu+") {
            throw TransportURLError(
                .scheme,
                "kombu's transports (kombu+…) exist in Python only; use rabbit://, amqp:// or amqps://"
            )
        }
        if name == "rabbits" {
            throw TransportURLError(.scheme, "there is no rabbits://; use amqps://, or rabbit:// with ?ssl=true")
        }
        throw TransportURLError(
            .scheme,
            "only RabbitMQ is spoken here: rabbit://, amqp:// or amqps://, percent-encode what is no scheme"
        )
    }

    // MARK: Parts

    /// The hosts; where there are none, this machine's.
    func hosts() throws(TransportURLError) -> [TransportURL.Host] {
        var hosts: [TransportURL.Host] = []
        for part in self.authority.split(separator: UInt8(ascii: ",")) {
            hosts.append(try self.host(part, position: hosts.count + 1))
        }
        return hosts.isEmpty ? [try self.host([], position: 1)] : hosts
    }

    /// The last `@` ends the credentials, for a user's name may hold one (wire contract 5.6).
    private func host(_ part: Bytes, position: Int) throws(TransportURLError) -> TransportURL.Host {
        let at = part.lastIndex(of: UInt8(ascii: "@"))
        let credentials = part[..<(at ?? part.startIndex)]
        let colon = credentials.firstIndex(of: UInt8(ascii: ":"))
        let (name, port) = try Self.address(at.map { part[($0 + 1)...] } ?? part, position: position)
        var user = try at.map { _ throws(TransportURLError) in
            try self.decoded(credentials[..<(colon ?? credentials.endIndex)], "the user of host \(position)")
        }
        var password = try colon.map { colon throws(TransportURLError) in
            try self.decoded(credentials[(colon + 1)...], "the password of host \(position)")
        }
        if self.scheme == .rabbit {
            // Python's library takes empty credentials for absent ones.
            if user?.isEmpty == true { user = nil }
            if password?.isEmpty == true { password = nil }
        }
        return TransportURL.Host(
            name: name.isEmpty
                ? "localhost" : self.scheme == .rabbit ? name : try self.decoded(Bytes(name.utf8), "host \(position)"),
            port: port ?? (self.scheme == .amqps ? 5671 : 5672),
            user: user ?? "guest",
            password: password ?? "guest"
        )
    }

    /// Host and port.
    ///
    /// Nothing of them is repeated in an error: where a character of a password is not encoded, part of it ends up
    /// here.
    private static func address(
        _ text: Bytes,
        position: Int
    ) throws(TransportURLError) -> (name: String, port: Int?) {
        let name: Bytes
        var port: Bytes?
        if text.first == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")), end > text.startIndex + 1 else {
                throw TransportURLError(.host, "host \(position) begins with '[' and is no IPv6 address in brackets")
            }
            name = text[(text.startIndex + 1)..<end]
            let rest = text[(end + 1)...]
            guard rest.isEmpty || rest.first == UInt8(ascii: ":") else {
                throw TransportURLError(.host, "only a port may follow the brackets of host \(position)")
            }
            if !rest.isEmpty { port = rest.dropFirst() }
        } else {
            let colons = text.indices.filter { text[$0] == UInt8(ascii: ":") }
            // More than one colon: an IPv6 address without brackets, which oslo takes when no port follows.
            name = colons.count == 1 ? text[..<colons[0]] : text
            if colons.count == 1 { port = text[(colons[0] + 1)...] }
        }
        guard let port else { return (String(decoding: name, as: UTF8.self), nil) }
        guard port.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(String(decoding: port, as: UTF8.self)),
            (1...65535).contains(number)
        else {
            throw TransportURLError(
                .host,
                "the port of host \(position) is no number from 1 to 65535; "
                    + "in a user or a password, percent-encode '/', '?', '#', ':', '@' and ','"
            )
        }
        return (String(decoding: name, as: UTF8.self), number)
    }

    /// The virtual host.
    ///
    /// `amqp://host/` would by the letter of RabbitMQ's specification mean one with an empty name. Nobody has such a
    /// thing, and all of Python's clients read it as `/`.
    func virtualHost() throws(TransportURLError) -> String {
        guard let path = self.path?.dropFirst(), !path.isEmpty else { return "/" }
        guard self.scheme == .rabbit || !path.contains(UInt8(ascii: "/")) else {
            throw TransportURLError(.virtualHost, "a '/' within the virtual host's name is written %2F")
        }
        let name = try self.decoded(path, "the virtual host")
        guard name.utf8.count <= 255 else {
            throw TransportURLError(.virtualHost, "the virtual host's name is longer than AMQP's 255 bytes")
        }
        return name
    }

    /// The options, checked; an option without a value counts as not set, repeated ones are joined (wire contract 5.6).
    ///
    /// `defaults` are what holds where the URL itself says nothing.
    func options(defaults: [String: String]) throws(TransportURLError) -> TransportOption.Set {
        guard !self.query.contains(UInt8(ascii: "@")) else {
            throw TransportURLError(
                .syntax,
                "there is an '@' after the '?'; in a password '?' is %3F, in an option '@' is %40"
            )
        }
        var values: [String: [String]] = [:]
        for pair in self.query.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = try self.decoded(pair[..<equals].plusAsSpace, "an option's name")
            let value = try self.decoded(pair[equals...].dropFirst().plusAsSpace, "an option's value")
            values[TransportOption.name(name, isURI: self.scheme != .rabbit), default: []].append(value)
        }
        for (name, value) in defaults where values[name] == nil {
            // The scheme has said it already.
            if name == TransportOption.tls, self.scheme == .amqps { continue }
            values[name] = [value]
        }
        var options = TransportOption.Set()
        for (name, parts) in values.sorted(by: { $0.key < $1.key }) {
            try options.add(name, parts.filter { !$0.isEmpty }.joined(separator: ","))
        }
        return options
    }

    func isTLS(_ options: TransportOption.Set) throws(TransportURLError) -> Bool {
        let option = options.values[TransportOption.tls]
        guard self.scheme == .amqps else { return option == "true" }
        guard option != "false" else {
            throw TransportURLError(.invalidOption, "amqps:// and ssl=false contradict each other")
        }
        return true
    }

    // MARK: Percent-encoding

    /// Decodes a part.
    ///
    /// What is no percent-encoding stays as it is in `rabbit://`, since Python leaves it so and passwords rely on it;
    /// in the others it is an error.
    private func decoded(_ bytes: Bytes, _ part: String) throws(TransportURLError) -> String {
        var result: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == UInt8(ascii: "%") else {
                result.append(bytes[index])
                index += 1
                continue
            }
            if index + 2 < bytes.endIndex, let high = bytes[index + 1].hexDigitValue,
                let low = bytes[index + 2].hexDigitValue
            {
                result.append(high << 4 | low)
                index += 3
            } else if self.scheme == .rabbit {
                result.append(bytes[index])
                index += 1
            } else {
                throw TransportURLError(.encoding, "\(part) has a '%' without two hexadecimal digits; write it %25")
            }
        }
        guard let text = String(validating: result, as: UTF8.self) else {
            throw TransportURLError(.encoding, "\(part) is not UTF-8 once it is decoded")
        }
        return text
    }
}

extension ArraySlice<UInt8> {
    /// In a query, and only there, a plus sign stands for a space.
    fileprivate var plusAsSpace: ArraySlice<UInt8> {
        ArraySlice(self.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 })
    }
}

extension UInt8 {
    fileprivate var hexDigitValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
