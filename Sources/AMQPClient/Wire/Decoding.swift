internal import CRabbitMQ
import Glibc

/// Strings that come again with every message (exchange, content type …): the last one is kept, so that a repetition
/// costs a comparison instead of an allocation.
struct StringMemo {
    private var last = ""

    mutating func string(_ bytes: amqp_bytes_t) -> String {
        guard let base = unsafe bytes.bytes, unsafe bytes.len > 0 else { return "" }
        let buffer = unsafe UnsafeRawBufferPointer(start: base, count: bytes.len)
        let isSame = self.last.withUTF8 { last in
            guard let other = last.baseAddress, last.count == buffer.count else { return false }
            return unsafe memcmp(other, base, last.count) == 0
        }
        if !isSame {
            self.last = unsafe String(decoding: buffer, as: UTF8.self)
        }
        return self.last
    }
}

extension String {
    /// Copies a string of librabbitmq; bytes that are not UTF-8 become replacement characters.
    init(_ bytes: amqp_bytes_t) {
        if let base = unsafe bytes.bytes, unsafe bytes.len > 0 {
            self = unsafe String(decoding: UnsafeRawBufferPointer(start: base, count: bytes.len), as: UTF8.self)
        } else {
            self = ""
        }
    }
}

extension [UInt8] {
    init(_ bytes: amqp_bytes_t) {
        if let base = unsafe bytes.bytes, unsafe bytes.len > 0 {
            self = unsafe Array(UnsafeRawBufferPointer(start: base, count: bytes.len))
        } else {
            self = []
        }
    }
}

/// A table that is nested too deeply, or holds what no AMQP type is.
struct UndecodableTable: Error {}

extension AMQPValue {
    static func table(decoding table: amqp_table_t, depth: Int = 0) throws(UndecodableTable) -> AMQPTable {
        guard depth <= EncodingArena.deepestTable else { throw UndecodableTable() }
        var decoded: AMQPTable = [:]
        for index in 0..<Int(unsafe table.num_entries) {
            let entry = unsafe table.entries[index]
            decoded[unsafe String(entry.key)] = unsafe try AMQPValue(decoding: entry.value, depth: depth + 1)
        }
        return decoded
    }

    private init(decoding field: amqp_field_value_t, depth: Int) throws(UndecodableTable) {
        let value = unsafe field.value
        self =
            switch unsafe amqp_field_value_kind_t(UInt32(field.kind)) {
            case AMQP_FIELD_KIND_VOID: .void
            case AMQP_FIELD_KIND_BOOLEAN: .bool(unsafe value.boolean != 0)
            case AMQP_FIELD_KIND_I8: .int8(unsafe value.i8)
            case AMQP_FIELD_KIND_U8: .uint8(unsafe value.u8)
            case AMQP_FIELD_KIND_I16: .int16(unsafe value.i16)
            case AMQP_FIELD_KIND_U16: .uint16(unsafe value.u16)
            case AMQP_FIELD_KIND_I32: .int32(unsafe value.i32)
            case AMQP_FIELD_KIND_U32: .uint32(unsafe value.u32)
            case AMQP_FIELD_KIND_I64: .int64(unsafe value.i64)
            case AMQP_FIELD_KIND_U64: .uint64(unsafe value.u64)
            case AMQP_FIELD_KIND_F32: .float(unsafe value.f32)
            case AMQP_FIELD_KIND_F64: .double(unsafe value.f64)
            case AMQP_FIELD_KIND_DECIMAL:
                .decimal(scale: unsafe value.decimal.decimals, value: unsafe value.decimal.value)
            case AMQP_FIELD_KIND_UTF8: unsafe Self.text(value.bytes)
            case AMQP_FIELD_KIND_BYTES: .bytes(unsafe [UInt8](value.bytes))
            case AMQP_FIELD_KIND_ARRAY: .array(unsafe try Self.array(decoding: value.array, depth: depth))
            case AMQP_FIELD_KIND_TIMESTAMP: .timestamp(unsafe value.u64)
            case AMQP_FIELD_KIND_TABLE: .table(unsafe try Self.table(decoding: value.table, depth: depth))
            default: throw UndecodableTable()
            }
    }

    private static func array(decoding array: amqp_array_t, depth: Int) throws(UndecodableTable) -> [AMQPValue] {
        guard depth <= EncodingArena.deepestTable else { throw UndecodableTable() }
        var decoded: [AMQPValue] = []
        decoded.reserveCapacity(Int(unsafe array.num_entries))
        for index in 0..<Int(unsafe array.num_entries) {
            decoded.append(unsafe try AMQPValue(decoding: array.entries[index], depth: depth + 1))
        }
        return decoded
    }

    /// A long string is text by convention only; what is not UTF-8 is kept as bytes.
    private static func text(_ bytes: amqp_bytes_t) -> AMQPValue {
        let raw = unsafe [UInt8](bytes)
        if let text = String(validating: raw, as: UTF8.self) {
            return .string(text)
        }
        return .bytes(raw)
    }
}
