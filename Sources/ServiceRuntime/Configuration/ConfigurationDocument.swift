public import Messaging

/// What a configuration file says, whatever its format.
public struct ConfigurationDocument: Sendable {
    /// One value.
    struct Entry: Sendable {
        enum Content: Sendable {
            /// A text that may refer to other options by `$name`.
            case text(String)
            /// A value of some type.
            case value(JSONValue)
        }

        let name: ServiceOptionName
        let content: Content
        let line: Int?
    }

    private(set) var entries: [Entry] = []
    /// The sections by name, with the line in which each begins first.
    private(set) var sections: [String: Int?] = [:]
    /// What could not be read.
    private(set) var complaints: [(line: Int?, message: String)] = []

    /// Creates a document that says nothing yet.
    public init() {}

    /// Adds a value as it was read.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - name: The option that it is for; the last value for an option counts.
    ///   - line: The line of the file.
    public mutating func add(_ value: JSONValue, for name: ServiceOptionName, line: Int?) {
        self.add(.value(value), for: name, line: line)
    }

    mutating func add(_ content: Entry.Content, for name: ServiceOptionName, line: Int?) {
        self.addSection(name.section, line: line)
        self.entries.append(Entry(name: name, content: content, line: line))
    }

    /// Adds a section, which may be empty.
    ///
    /// - Parameters:
    ///   - name: The section's name.
    ///   - line: The line of the file.
    public mutating func addSection(_ name: String, line: Int?) {
        let name = ServiceOptionName.normal(name)
        if self.sections[name] == nil { self.sections[name] = .some(line) }
    }

    /// Notes something that cannot be read; the file is then refused.
    ///
    /// - Parameters:
    ///   - message: What is wrong.
    ///   - line: The line of the file, if it is known.
    public mutating func complain(_ message: String, line: Int?) {
        self.complaints.append((line, message))
    }

    /// Adds the members of an object: options, and sections as objects with options.
    ///
    /// - Parameters:
    ///   - document: What the file holds.
    ///   - line: Answers in which line a member begins: its path, of one or two names.
    public mutating func add(members document: JSONValue, line: ([String]) -> Int?) {
        guard let members = document.objectValue else {
            self.complain("the file holds \(document.kindDescription); it must be an object of options", line: nil)
            return
        }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard let section = value.objectValue else {
                self.add(value, for: ServiceOptionName(name), line: line([name]))
                continue
            }
            self.addSection(name, line: line([name]))
            for (option, value) in section.sorted(by: { $0.key < $1.key }) {
                self.add(value, for: ServiceOptionName(option, in: name), line: line([name, option]))
            }
        }
    }
}
