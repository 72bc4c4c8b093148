/// Where an option stands in a configuration: its section, and its name in there.
public struct ServiceOptionName: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The section of options that belong to no other: `DEFAULT`.
    public static let defaultSection = "DEFAULT"

    /// The section; all but `DEFAULT` are in lower case, as oslo.config takes them.
    public let section: String
    /// The name within the section.
    public let name: String

    /// Creates a name.
    ///
    /// - Parameters:
    ///   - name: The name within the section.
    ///   - section: The section; `DEFAULT` if there is none.
    public init(_ name: String, in section: String = defaultSection) {
        self.section = Self.normal(section)
        self.name = name
    }

    /// Reads `name` or `section.name`; the last dot counts, for sections may have dots in their names.
    init(parsing text: String, in section: String = defaultSection) {
        guard let dot = text.lastIndex(of: ".") else {
            self.init(text, in: section)
            return
        }
        self.init(String(text[text.index(after: dot)...]), in: String(text[..<dot]))
    }

    /// A section's name in the one form that is compared.
    static func normal(_ section: String) -> String {
        section == self.defaultSection ? section : section.lowercased()
    }

    /// The name alone in the section `DEFAULT`, `section.name` elsewhere.
    public var description: String {
        self.section == Self.defaultSection ? self.name : "\(self.section).\(self.name)"
    }

    /// By section, `DEFAULT` first, then by name.
    public static func < (one: Self, other: Self) -> Bool {
        if one.section == other.section { return one.name < other.name }
        if one.section == self.defaultSection { return true }
        return other.section != self.defaultSection && one.section < other.section
    }
}
