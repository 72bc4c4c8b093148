internal import MessagingRabbitMQ
internal import ServiceRuntime

/// The options of oslo's group `oslo_messaging_rabbit`.
///
/// Which there are, and what they may be, the transport says; what a transport URL sets goes before them.
enum RabbitMQOptions {
    static let section = "oslo_messaging_rabbit"

    /// All of them; where one is not set the transport's own default holds.
    static let all: [any ServiceOptionDeclaration] = TransportOption.known.sorted { $0.key < $1.key }
        .map { name, option in Self.declaration(name, option) }

    /// What is set, as texts by name.
    static func values(in configuration: ServiceConfiguration) -> [String: String] {
        var values: [String: String] = [:]
        for (name, option) in TransportOption.known {
            let text =
                switch Self.kind(of: option) {
                case .flag: configuration[Self.flag(name, option)].map { "\($0)" }
                case .integer(let range): configuration[Self.integer(name, option, range)].map { "\($0)" }
                case .number(let range): configuration[Self.number(name, option, range)].map { "\($0)" }
                case .text: configuration[Self.text(name, option)]
                case .choice(let choices): configuration[Self.choice(name, option, choices)]
                }
            if let text { values[name] = text }
        }
        return values
    }

    /// What a value must be; of choices only those that are supported.
    private static func kind(of option: TransportOption) -> TransportOption.Kind {
        if case .only(let choices) = option.support { .choice(choices) } else { option.kind }
    }

    private static func declaration(_ name: String, _ option: TransportOption) -> any ServiceOptionDeclaration {
        switch Self.kind(of: option) {
        case .flag: Self.flag(name, option)
        case .integer(let range): Self.integer(name, option, range)
        case .number(let range): Self.number(name, option, range)
        case .text: Self.text(name, option)
        case .choice(let choices): Self.choice(name, option, choices)
        }
    }

    private static func flag(_ name: String, _ option: TransportOption) -> ServiceOption<Bool?> {
        ServiceOption(name, section: section, default: nil, help: option.help, deprecated: former(name))
    }

    private static func integer(
        _ name: String,
        _ option: TransportOption,
        _ range: ClosedRange<Int>
    ) -> ServiceOption<Int?> {
        ServiceOption(name, section: section, default: nil, in: range, help: option.help, deprecated: former(name))
    }

    private static func number(
        _ name: String,
        _ option: TransportOption,
        _ range: ClosedRange<Double>
    ) -> ServiceOption<Double?> {
        ServiceOption(name, section: section, default: nil, in: range, help: option.help, deprecated: former(name))
    }

    private static func text(_ name: String, _ option: TransportOption) -> ServiceOption<String?> {
        ServiceOption(name, section: section, default: nil, help: option.help, deprecated: former(name))
    }

    private static func choice(
        _ name: String,
        _ option: TransportOption,
        _ choices: [String]
    ) -> ServiceOption<String?> {
        ServiceOption(
            name,
            section: section,
            default: nil,
            choices: choices,
            help: option.help,
            deprecated: former(name)
        )
    }

    private static func former(_ name: String) -> [String] {
        TransportOption.formerNames[name].map { [$0] } ?? []
    }
}
