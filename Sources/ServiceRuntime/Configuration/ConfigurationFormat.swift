internal import Messaging

/// A way to write a configuration file: JSON, oslo's INI, or one that a program adds.
public struct ConfigurationFormat: Sendable {
    /// The format's name.
    public let name: String
    /// How the names of such files end, without the dot.
    public let extensions: [String]
    /// Whether a name that is not known is an error.
    ///
    /// A file of OpenStack's has many options that are somebody else's; one that is written for these programs has none.
    public let refusesUnknownNames: Bool
    /// Reads a file; whatever is wrong is noted in the document.
    let read: @Sendable ([UInt8]) -> ConfigurationDocument

    /// Creates a format.
    ///
    /// - Parameters:
    ///   - name: The format's name.
    ///   - extensions: How the names of such files end, without the dot.
    ///   - refusesUnknownNames: Whether a name that is not known is an error; yes by default.
    ///   - read: Reads a file's bytes, which may be anything; whatever is wrong is noted in the document.
    public init(
        _ name: String,
        extensions: [String],
        refusesUnknownNames: Bool = true,
        read: @escaping @Sendable ([UInt8]) -> ConfigurationDocument
    ) {
        self.name = name
        self.extensions = extensions
        self.refusesUnknownNames = refusesUnknownNames
        self.read = read
    }

    /// One JSON object of options; sections are objects within it.
    public static let json = ConfigurationFormat("JSON", extensions: ["json"], read: JSONConfiguration.read)

    /// What oslo.config reads, such as a `cinder.conf`.
    public static let ini = ConfigurationFormat(
        "INI",
        extensions: ["conf", "ini"],
        refusesUnknownNames: false,
        read: INIConfiguration.read
    )

    /// The format of a file: by the end of its name, else by what stands first in it.
    static func of(_ path: String, _ bytes: [UInt8], among formats: [ConfigurationFormat]) -> ConfigurationFormat {
        let end = path.split(separator: "/").last?.split(separator: ".").dropFirst().last?.lowercased()
        if let end, let format = formats.first(where: { $0.extensions.contains(end) }) { return format }
        let first = bytes.first { ![0x09, 0x0A, 0x0D, 0x20].contains($0) }
        return first == UInt8(ascii: "{") ? .json : .ini
    }
}
