import Glibc
import Messaging

@testable import AMQPClient
@testable import MessagingRabbitMQ

/// What a broker sends: frames, methods, tables, and messages put together of them.
enum FrameTarget {
    /// The decoder belongs to a connection: one to a listener of our own, on which nothing is ever said.
    private nonisolated(unsafe) static let transport: AMQPClient.Transport = {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let isListening =
                    bind(listener, address, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &size) == 0
                claim(isListening, "no socket to listen on")
            }
        }
        let host = AMQPConfiguration.Host(name: "127.0.0.1", port: Int(UInt16(bigEndian: address.sin_port)))
        do {
            let handle = try ConnectionHandle(connectingTo: host, tls: nil, timeout: .seconds(5))
            return AMQPClient.Transport(handle, host: host, configuration: AMQPConfiguration(hosts: [host]))
        } catch {
            fatalError("no connection to the listener: \(error)")
        }
    }()

    private static var assembler: ContentAssembler { ContentAssembler(maxBodySize: 1 << 16) }

    /// The first byte says in what pieces the others arrive.
    @Sendable static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        var rest = bytes.dropFirst()
        let piece = max(1, Int(first) * 8)
        var reader = FrameReader(frameMax: 4_096)
        var assemblers: [UInt16: ContentAssembler] = [:]
        do throws(AMQPError) {
            while !rest.isEmpty {
                let count = try reader.fill { (space) throws(AMQPError) -> Int in
                    let count = min(piece, space.count, rest.count)
                    space.copyBytes(from: rest.prefix(count))
                    return count
                }
                rest = rest.dropFirst(count)
                while let raw = try reader.next() {
                    let guarded = RawFrame(type: raw.type, channel: raw.channel, payload: self.guarded(raw.payload))
                    try self.take(try self.transport.decode(guarded), &assemblers)
                }
            }
        } catch {
            // Refused: the connection would end here.
            _ = error.description
        }
    }

    /// The bytes with nothing behind them: librabbitmq was built without a sanitizer, but reading on is a fault all the
    /// same.
    private static func guarded(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        claim(bytes.count <= self.page, "a frame is larger than agreed")
        let start = self.pages + (self.page - bytes.count)
        start.copyMemory(from: bytes.baseAddress ?? UnsafeRawPointer(start), byteCount: bytes.count)
        return UnsafeRawBufferPointer(start: start, count: bytes.count)
    }

    private static let page = 4_096

    /// A page that may be used, and one that may not.
    private nonisolated(unsafe) static let pages: UnsafeMutableRawPointer = {
        let pages = mmap(nil, 2 * page, PROT_READ | PROT_WRITE, Int32(MAP_PRIVATE | MAP_ANONYMOUS), -1, 0)
        guard let pages, pages != MAP_FAILED, mprotect(pages + page, page, PROT_NONE) == 0 else {
            fatalError("no memory")
        }
        return pages
    }()

    private static func take(
        _ frame: InboundFrame,
        _ assemblers: inout [UInt16: ContentAssembler]
    ) throws(AMQPError) {
        let content: ContentAssembler.Content?
        switch frame {
        case .heartbeat: return
        case .method(let channel, let method):
            switch method.arguments {
            case .deliver(let header):
                try assemblers[channel, default: self.assembler].open(.deliver(header))
            case .returned(let header):
                try assemblers[channel, default: self.assembler].open(.returned(header))
            case .close(let reply): _ = AMQPError.replied(reply, to: "channel").description
            default: break
            }
            return
        case .header(let channel, let properties, let size):
            content = try assemblers[channel, default: self.assembler].header(properties, bodySize: size)
        case .body(let channel, let bytes):
            content = try assemblers[channel, default: self.assembler].body(bytes)
        }
        guard let content else { return }
        claim(content.message.body.count <= self.assembler.maxBodySize, "a body is longer than allowed")
        self.write(content.message.properties)
        guard case .deliver(let header) = content.opening, content.refusal == nil else { return }
        let delivery = AMQPDelivery(
            consumerTag: header.consumerTag,
            deliveryTag: AMQPDeliveryTag(number: header.deliveryTag, epoch: 1),
            redelivered: header.redelivered,
            exchange: header.exchange,
            routingKey: header.routingKey,
            message: content.message
        )
        MessageTargets.take(Delivery(delivery, from: "q"))
    }

    /// What came in as properties can be sent on, or is refused.
    private static func write(_ properties: AMQPProperties) {
        let arena = EncodingArena()
        _ = try? properties.encode(with: arena)
    }
}
