/// Arguments and headers: names with values.
public typealias AMQPTable = [String: AMQPValue]

/// A value of an AMQP table: every type that RabbitMQ puts on the wire.
public enum AMQPValue: Sendable, Hashable {
    /// No value (`V`).
    case void
    /// A truth value (`t`).
    case bool(Bool)
    /// A signed byte (`b`).
    case int8(Int8)
    /// An unsigned byte (`B`).
    case uint8(UInt8)
    /// A signed 16-bit number (`s`).
    case int16(Int16)
    /// An unsigned 16-bit number (`u`).
    case uint16(UInt16)
    /// A signed 32-bit number (`I`).
    case int32(Int32)
    /// An unsigned 32-bit number (`i`).
    case uint32(UInt32)
    /// A signed 64-bit number (`l`).
    case int64(Int64)
    /// An unsigned 64-bit number (`L`). RabbitMQ itself does not know this type in arguments of queues.
    case uint64(UInt64)
    /// A number of single precision (`f`).
    case float(Float)
    /// A number of double precision (`d`).
    case double(Double)
    /// `value` divided by ten to the power of `scale` (`D`).
    case decimal(scale: UInt8, value: UInt32)
    /// Text (`S`).
    case string(String)
    /// Bytes (`x`); also a long string that is not UTF-8.
    case bytes([UInt8])
    /// Values in order (`A`).
    case array([AMQPValue])
    /// Seconds since 1970 (`T`).
    case timestamp(UInt64)
    /// A nested table (`F`).
    case table(AMQPTable)
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral
{
    /// Makes text.
    public init(stringLiteral value: String) {
        self = .string(value)
    }

    /// Makes a truth value.
    public init(booleanLiteral value: Bool) {
        self = .bool(value)
    }

    /// Makes a signed 64-bit number, the type RabbitMQ's own clients use for integers.
    public init(integerLiteral value: Int64) {
        self = .int64(value)
    }

    /// Makes a number of double precision.
    public init(floatLiteral value: Double) {
        self = .double(value)
    }
}

extension AMQPValue {
    /// The value as an integer, whatever its width, or nil when it is none or does not fit.
    public var integer: Int? {
        switch self {
        case .int8(let value): Int(value)
        case .uint8(let value): Int(value)
        case .int16(let value): Int(value)
        case .uint16(let value): Int(value)
        case .int32(let value): Int(value)
        case .uint32(let value): Int(value)
        case .int64(let value): Int(value)
        case .uint64(let value), .timestamp(let value): Int(exactly: value)
        case .void, .bool, .float, .double, .decimal, .string, .bytes, .array, .table: nil
        }
    }

    /// The value as text, or nil when it is none.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
}
