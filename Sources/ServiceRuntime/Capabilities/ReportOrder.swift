public import Messaging

/// The place of a report among all that a host has made, whatever its clock says.
///
/// It travels within the capabilities, under ``member``, where a scheduler of cinder does not look; an argument of its own
/// would be refused there.
public struct ReportOrder: Sendable, Hashable {
    /// The name of the member of the capabilities that holds the order.
    public static let member = "steward_report"

    /// Which life of the host made the report: larger for each new process, as long as the host's clock is not set back.
    public let incarnation: Int
    /// Which of that life's reports it is, counted from 1.
    public let sequence: Int

    /// Creates an order.
    ///
    /// - Parameters:
    ///   - incarnation: Which life of the host it is.
    ///   - sequence: Which of its reports it is.
    public init(incarnation: Int, sequence: Int) {
        self.incarnation = incarnation
        self.sequence = sequence
    }

    /// Reads the order of a report; `nil` where the host does not say.
    ///
    /// - Parameter capabilities: What the host reported.
    public init?(_ capabilities: [String: JSONValue]?) {
        guard let order = capabilities?[Self.member]?.objectValue, let incarnation = order["incarnation"]?.intValue,
            let sequence = order["sequence"]?.intValue
        else { return nil }
        self.init(incarnation: incarnation, sequence: sequence)
    }

    /// Writes the order into what is reported; a value that is no object is left alone.
    ///
    /// - Parameter capabilities: What the host can do.
    /// - Returns: The same with the order.
    public func written(into capabilities: JSONValue) -> JSONValue {
        guard var members = capabilities.objectValue else { return capabilities }
        members[Self.member] = .object([
            "incarnation": .integer(self.incarnation), "sequence": .integer(self.sequence),
        ])
        return .object(members)
    }
}
