internal import Messaging

/// How a program ended, as its exit code.
public struct ServiceExit: Sendable, Hashable, CustomStringConvertible {
    /// The exit code of the process.
    public let code: Int32

    /// Ended as it was asked to: 0.
    public static let success = ServiceExit(code: 0)
    /// A service failed, or did not end within its limits: 1.
    public static let failure = ServiceExit(code: 1)
    /// Wrong command line or configuration: 2.
    public static let usage = ServiceExit(code: 2)
    /// The broker cannot be reached: 5.
    public static let unreachable = ServiceExit(code: 5)

    /// The exit code's meaning and number.
    public var description: String {
        switch self {
        case .success: "success (0)"
        case .usage: "usage (2)"
        case .unreachable: "broker not reachable (5)"
        default: "failure (\(self.code))"
        }
    }

    /// The exit code for an error; what lies beneath it counts too.
    public static func forError(_ error: any Error) -> ServiceExit {
        switch error {
        case let error as ServiceError where error.code == .invalidConfiguration: .usage
        case let error as ServiceError: error.cause.map(self.forError) ?? .failure
        case let error as RPCError where error.code == .unreachable: .unreachable
        default: .failure
        }
    }
}
