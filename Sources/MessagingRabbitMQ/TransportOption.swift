/// An option that may stand in a transport URL: one of oslo's group `oslo_messaging_rabbit` (wire contract 1.3, 5.7).
package struct TransportOption: Sendable {
    /// What a value must be.
    package enum Kind: Sendable {
        case flag
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        case text
        case choice([String])
    }

    /// What becomes of the option here.
    package enum Support: Sendable {
        case full
        /// It tunes Python's own machinery, or nothing at all; refusing it would only stop good URLs from working.
        case withoutEffect
        /// It changes what peers can see. Ignoring it would put this side on other queues than theirs.
        case only([String])
    }

    /// What the option is for, in a few words.
    package let help: String
    /// What a value must be.
    package let kind: Kind
    /// What becomes of the option here.
    package let support: Support

    /// The option for TLS, which ``TransportURL/isTLS`` answers.
    static let tls = "ssl"

    /// The names under which RabbitMQ's URI query parameters know the same things.
    private static let uriNames = [
        "cacertfile": "ssl_ca_file", "certfile": "ssl_cert_file", "keyfile": "ssl_key_file",
        "heartbeat": "heartbeat_timeout_threshold",
    ]

    /// An option's name in oslo's group, for the name that stands in a URL.
    static func name(_ name: String, isURI: Bool) -> String {
        isURI ? self.uriNames[name] ?? name : name
    }

    /// The options of one URL.
    struct Set {
        /// Values in their canonical form.
        private(set) var values: [String: String] = [:]
        /// The names of options that change nothing here.
        private(set) var withoutEffect: [String] = []

        /// Checks an option and takes it in; an empty value leaves it unset.
        mutating func add(_ name: String, _ value: String) throws(TransportURLError) {
            guard let option = TransportOption.known[name] else {
                throw TransportURLError(
                    .unknownOption,
                    "there is no option '\(name.prefix(64))'; known are those of oslo.messaging's RabbitMQ driver"
                )
            }
            guard !value.isEmpty else { return }
            guard let canonical = option.kind.canonical(value) else {
                throw TransportURLError(
                    .invalidOption,
                    "the option \(name) must be \(option.kind), not '\(value.prefix(64))'"
                )
            }
            switch option.support {
            case .full: break
            case .withoutEffect: self.withoutEffect.append(name)
            case .only(let supported):
                guard supported.contains(canonical) else {
                    throw TransportURLError(
                        .unsupportedOption,
                        "\(name)=\(canonical.prefix(64)) is not supported; "
                            + (supported.isEmpty ? "leave it out" : "use \(supported.joined(separator: " or "))")
                    )
                }
            }
            self.values[name] = canonical
        }
    }
}

extension TransportOption.Kind: CustomStringConvertible {
    /// What a value must be, for people.
    package var description: String {
        switch self {
        case .flag: "true or false"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .number(let range):
            "a number from \(range.lowerBound) to \(range.upperBound)"
        case .text: "a text"
        case .choice(let values): values.joined(separator: " or ")
        }
    }

    /// The value in one form for all ways of writing it, or `nil` where it is none: oslo.config's rules.
    fileprivate func canonical(_ value: String) -> String? {
        switch self {
        case .flag:
            switch value.lowercased() {
            case "true", "1", "on", "yes": "true"
            case "false", "0", "off", "no": "false"
            default: nil
            }
        case .integer(let range):
            Int(value).flatMap { range.contains($0) ? String($0) : nil }
        case .number(let range):
            Double(value).flatMap { range.contains($0) ? String($0) : nil }
        case .text:
            value
        case .choice(let values):
            values.first { $0.lowercased() == value.lowercased() }
        }
    }
}
