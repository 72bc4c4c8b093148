internal import CRabbitMQ
import Glibc

/// Memory for the C structures of one method or header at a time, given back all at once.
///
/// `@unchecked Sendable` is not needed: it lives in a ``Transport``, which is confined to its loop's thread.
@safe struct EncodingArena: ~Copyable {
    /// A short string's length is one octet (AMQP 0-9-1, section 4.2.5.3).
    static let longestShortString = 255
    /// Tables nested deeper than this are refused in both directions: decoding and releasing them is recursive.
    static let deepestTable = 64

    private let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        unsafe self.pool = .allocate(capacity: 1)
        unsafe init_amqp_pool(self.pool, 4_096)
    }

    deinit {
        unsafe empty_amqp_pool(self.pool)
        unsafe self.pool.deallocate()
    }

    /// Gives everything back.
    ///
    /// Pointers from before must not be used any more.
    func reset() {
        unsafe recycle_amqp_pool(self.pool)
    }

    /// The pool, for librabbitmq's decoders.
    var decodingPool: UnsafeMutablePointer<amqp_pool_t> { unsafe self.pool }

    private func allocate(_ count: Int) throws(AMQPError) -> UnsafeMutableRawPointer {
        guard let memory = unsafe amqp_pool_alloc(self.pool, count) else {
            throw AMQPError.library(status: AMQP_STATUS_NO_MEMORY.rawValue, operation: "encoding")
        }
        return unsafe memory
    }

    func bytes(_ bytes: [UInt8]) throws(AMQPError) -> amqp_bytes_t {
        guard !bytes.isEmpty else { return unsafe amqp_bytes_t(len: 0, bytes: nil) }
        let memory = unsafe try self.allocate(bytes.count)
        unsafe bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            unsafe memory.copyMemory(from: base, byteCount: source.count)
        }
        return unsafe amqp_bytes_t(len: bytes.count, bytes: memory)
    }

    func longString(_ string: String) throws(AMQPError) -> amqp_bytes_t {
        var string = string
        let count = string.utf8.count
        guard count > 0 else { return unsafe amqp_bytes_t(len: 0, bytes: nil) }
        let memory = unsafe try self.allocate(count)
        string.withUTF8 { source in
            guard let base = source.baseAddress else { return }
            unsafe memory.copyMemory(from: base, byteCount: source.count)
        }
        return unsafe amqp_bytes_t(len: count, bytes: memory)
    }

    func shortString(_ string: String, _ what: StaticString) throws(AMQPError) -> amqp_bytes_t {
        let count = string.utf8.count
        guard count <= Self.longestShortString else {
            throw AMQPError(
                .invalidArgument,
                operation: "encoding",
                message: "the \(what) is \(count) bytes long; AMQP allows 255: '\(string.prefix(40))…'"
            )
        }
        return unsafe try self.longString(string)
    }

    func table(_ table: AMQPTable, depth: Int = 0) throws(AMQPError) -> amqp_table_t {
        try Self.check(depth: depth)
        guard !table.isEmpty else { return unsafe amqp_table_t(num_entries: 0, entries: nil) }
        let stride = unsafe MemoryLayout<amqp_table_entry_t>.stride
        let memory = unsafe try self.allocate(table.count * stride)
        let entries = unsafe memory.bindMemory(to: amqp_table_entry_t.self, capacity: table.count)
        var index = 0
        for (key, value) in table {
            let entry = unsafe amqp_table_entry_t(
                key: try self.shortString(key, "key of a table"),
                value: try self.field(value, depth: depth + 1)
            )
            unsafe (entries + index).initialize(to: entry)
            index += 1
        }
        return unsafe amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    private func array(_ array: [AMQPValue], depth: Int) throws(AMQPError) -> amqp_array_t {
        try Self.check(depth: depth)
        guard !array.isEmpty else { return unsafe amqp_array_t(num_entries: 0, entries: nil) }
        let memory = unsafe try self.allocate(array.count * MemoryLayout<amqp_field_value_t>.stride)
        let values = unsafe memory.bindMemory(to: amqp_field_value_t.self, capacity: array.count)
        for (index, value) in array.enumerated() {
            unsafe (values + index).initialize(to: try self.field(value, depth: depth + 1))
        }
        return unsafe amqp_array_t(num_entries: Int32(array.count), entries: values)
    }

    private static func check(depth: Int) throws(AMQPError) {
        guard depth <= Self.deepestTable else {
            throw AMQPError(
                .invalidArgument,
                operation: "encoding",
                message: "a table is nested deeper than \(Self.deepestTable) levels"
            )
        }
    }

    private func field(_ value: AMQPValue, depth: Int) throws(AMQPError) -> amqp_field_value_t {
        var field = unsafe amqp_field_value_t()
        func set(_ kind: amqp_field_value_kind_t) { unsafe field.kind = UInt8(truncatingIfNeeded: kind.rawValue) }
        switch value {
        case .void: set(AMQP_FIELD_KIND_VOID)
        case .bool(let value):
            set(AMQP_FIELD_KIND_BOOLEAN)
            unsafe field.value.boolean = value ? 1 : 0
        case .int8(let value):
            set(AMQP_FIELD_KIND_I8)
            unsafe field.value.i8 = value
        case .uint8(let value):
            set(AMQP_FIELD_KIND_U8)
            unsafe field.value.u8 = value
        case .int16(let value):
            set(AMQP_FIELD_KIND_I16)
            unsafe field.value.i16 = value
        case .uint16(let value):
            set(AMQP_FIELD_KIND_U16)
            unsafe field.value.u16 = value
        case .int32(let value):
            set(AMQP_FIELD_KIND_I32)
            unsafe field.value.i32 = value
        case .uint32(let value):
            set(AMQP_FIELD_KIND_U32)
            unsafe field.value.u32 = value
        case .int64(let value):
            set(AMQP_FIELD_KIND_I64)
            unsafe field.value.i64 = value
        case .uint64(let value):
            set(AMQP_FIELD_KIND_U64)
            unsafe field.value.u64 = value
        case .float(let value):
            set(AMQP_FIELD_KIND_F32)
            unsafe field.value.f32 = value
        case .double(let value):
            set(AMQP_FIELD_KIND_F64)
            unsafe field.value.f64 = value
        case .decimal(let scale, let value):
            set(AMQP_FIELD_KIND_DECIMAL)
            unsafe field.value.decimal = amqp_decimal_t(decimals: scale, value: value)
        case .string(let value):
            set(AMQP_FIELD_KIND_UTF8)
            unsafe field.value.bytes = try self.longString(value)
        case .bytes(let value):
            set(AMQP_FIELD_KIND_BYTES)
            unsafe field.value.bytes = try self.bytes(value)
        case .array(let value):
            set(AMQP_FIELD_KIND_ARRAY)
            unsafe field.value.array = try self.array(value, depth: depth)
        case .timestamp(let value):
            set(AMQP_FIELD_KIND_TIMESTAMP)
            unsafe field.value.u64 = value
        case .table(let value):
            set(AMQP_FIELD_KIND_TABLE)
            unsafe field.value.table = try self.table(value, depth: depth)
        }
        return unsafe field
    }
}
