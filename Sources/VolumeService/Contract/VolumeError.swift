public import Messaging

/// What can go wrong with volumes and their scheduling, the same at home and over the broker.
///
/// On the wire it is an exception of cinder, so that Python callers can tell the kinds apart; ``init(_:)`` reads it back.
public struct VolumeError: Error, Sendable, CustomStringConvertible {
    /// What kind of error it is.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: String, CaseIterable {
            case notFound = "VolumeNotFound"
            case conflict = "InvalidVolume"
            case invalidInput = "InvalidInput"
            case insufficientSpace = "VolumeSizeExceedsAvailableQuota"
            case noValidBackend = "NoValidBackend"
            case backendFailed = "VolumeBackendAPIException"
            case outOfUse = "ServiceUnavailable"
        }
        let kind: Kind

        /// There is no such volume at this host.
        public static let notFound = Code(kind: .notFound)
        /// The volume is in a state, or has a size, that does not allow what was asked for.
        public static let conflict = Code(kind: .conflict)
        /// The arguments make no sense.
        public static let invalidInput = Code(kind: .invalidInput)
        /// The host has too little space left.
        public static let insufficientSpace = Code(kind: .insufficientSpace)
        /// No host can take the volume.
        public static let noValidBackend = Code(kind: .noValidBackend)
        /// The file system failed, or holds something that is not ours.
        public static let backendFailed = Code(kind: .backendFailed)

        /// Operators have taken the host out of use: it is frozen and changes nothing, or disabled and takes no new work.
        public static let outOfUse = Code(kind: .outOfUse)

        /// The name of the exception in `cinder.exception`.
        public var description: String { kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code
    /// What was wrong and what can be done.
    public let message: String
    /// The volume that is meant, if it is one.
    public let volumeID: String?
    /// What the exception of cinder was made of, such as `requested` and `quota`.
    public let details: [String: JSONValue]
    /// The error beneath this one; it does not travel.
    public let cause: (any Error)?

    init(
        _ code: Code,
        _ message: String,
        volumeID: String? = nil,
        details: [String: JSONValue] = [:],
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.volumeID = volumeID
        self.details = details
        self.cause = cause
    }

    /// The name of the exception, the message, and the cause where the message does not tell it.
    public var description: String {
        guard let cause, !message.contains("\(cause)") else { return "\(code): \(message)" }
        return "\(code): \(message): \(cause)"
    }
}

// MARK: - Kinds

extension VolumeError {
    static func notFound(_ id: VolumeID) -> VolumeError {
        VolumeError(
            .notFound,
            "Volume \(id) could not be found.",
            volumeID: id.text,
            details: ["volume_id": .string(id.text)]
        )
    }

    static func conflict(_ id: VolumeID, _ reason: String) -> VolumeError {
        VolumeError(
            .conflict,
            "Invalid volume: \(reason)",
            volumeID: id.text,
            details: ["reason": .string(reason)]
        )
    }

    static func invalidInput(_ reason: String) -> VolumeError {
        VolumeError(.invalidInput, "Invalid input received: \(reason)", details: ["reason": .string(reason)])
    }

    /// What is wanted and what there is, in GiB.
    static func insufficientSpace(_ id: VolumeID, requested: Int, free: Double, total: Double) -> VolumeError {
        let free = roundedCapacity(max(0, free))
        let total = roundedCapacity(total)
        return VolumeError(
            .insufficientSpace,
            "Volume \(id) needs \(requested) GiB, and this host has \(free) of \(total) GiB free.",
            volumeID: id.text,
            details: [
                "name": "gigabytes", "requested": .integer(requested), "quota": .double(total),
                "consumed": .double(roundedCapacity(max(0, total - free))),
            ]
        )
    }

    static func backendFailed(_ what: String, volumeID: VolumeID? = nil, cause: (any Error)? = nil) -> VolumeError {
        VolumeError(
            .backendFailed,
            "Bad or unexpected response from the storage volume backend API: \(what)",
            volumeID: volumeID?.text,
            details: ["data": .string(what)],
            cause: cause
        )
    }

    static func outOfUse(_ reason: String) -> VolumeError {
        VolumeError(
            .outOfUse,
            "Service is unavailable at this time: \(reason)",
            details: ["reason": .string(reason)]
        )
    }

    /// No host can take a volume, with each host's reason.
    static func noValidBackend(_ reasons: [String: String]) -> VolumeError {
        let text =
            reasons.isEmpty
            ? "no host has reported yet"
            : reasons.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
        return VolumeError(
            .noValidBackend,
            "No valid backend was found. \(text)",
            details: ["reason": .string(text)]
        )
    }
}

// MARK: - Wire

extension VolumeError: RemoteFailureConvertible, RemoteFailureInitializable {
    /// The error as an exception of cinder (wire contract 3.4).
    public var remoteFailure: RemoteFailure {
        RemoteFailure(className: code.description, module: "cinder.exception", message: message, kwargs: details)
    }

    /// A file system that fails may work at the next attempt; all else is an answer.
    public var isExpected: Bool { code != .backendFailed }

    /// Reads the error back from a failure that a service reported; `nil` if it is none of these.
    public init?(_ failure: RemoteFailure) {
        guard failure.module == "cinder.exception", let kind = Code.Kind(rawValue: failure.className) else {
            return nil
        }
        self.init(
            Code(kind: kind),
            failure.message,
            volumeID: failure.kwargs["volume_id"]?.stringValue,
            details: failure.kwargs
        )
    }
}
