import FaultHarness
import Foundation
import Messaging
import MessagingRabbitMQ
import Synchronization
import TestSupport

extension Soak {
    /// What can be done to them.
    enum Fault: String, CaseIterable, Sendable {
        case restart, kill, freeze, closeConnections, deleteQueue, cut, cutInsideFrame, silence, oneWay, slowNetwork
        case memoryAlarm, diskAlarm, deleteExchange, killWorker, freezeWorker, malformed

        /// How long it takes until it is noticed: where nobody says a word, two heartbeats.
        var detection: Duration {
            switch self {
            case .silence, .oneWay: .seconds(4)
            case .restart, .kill, .freeze, .closeConnections, .deleteQueue, .cut, .cutInsideFrame, .slowNetwork,
                .memoryAlarm, .diskAlarm, .deleteExchange, .killWorker, .freezeWorker, .malformed:
                .zero
            }
        }

        /// What is promised: all is well again so long after the broker is there, and the loss noticed.
        var limit: Duration { .seconds(5) + self.detection }
    }

    func inject(_ fault: Fault, _ severity: Double) async throws {
        switch fault {
        case .restart:
            try await self.node.stop()
            try await self.node.start()
        case .kill:
            try await self.node.kill()
            try await self.node.start()
        case .freeze:
            try self.node.freeze()
            try await Task.sleep(for: .seconds(1 + 8 * severity))
            try self.node.thaw()
        case .closeConnections:
            try await self.broker.closeConnections(virtualHost: "%2F")
        case .deleteQueue:
            // A queue takes the messages in it along: what is promised is that those that come later are executed.
            let queue = severity > 0.5 ? self.topic : "\(self.topic).first"
            try await self.pausing { try await self.broker.deleteQueue(queue, virtualHost: "%2F") }
        case .cut: self.proxy.cut()
        case .cutInsideFrame:
            let chosen = Int(1 + 30 * severity)
            let count = Mutex(0)
            self.proxy.onFrame { frame in
                guard frame.type == 3 else { return .pass }  // A body.
                return count.withLock {
                    $0 += 1
                    return $0 == chosen ? .cutInside : .pass
                }
            }
            try await Task.sleep(for: .seconds(1))
        case .silence: try await self.disturb(severity) { $0.isSwallowed = true }
        case .oneWay:
            try await self.disturb(severity, severity > 0.5 ? .toBroker : .toClient) { $0.isSwallowed = true }
        case .slowNetwork:
            try await self.disturb(severity) {
                $0.bytesPerSecond = 1_000
                $0.delay = .milliseconds(500)
            }
        case .memoryAlarm:
            try await self.node.control("set_vm_memory_high_watermark", "0")
            try await Task.sleep(for: .seconds(1 + 3 * severity))
            try await self.node.control("set_vm_memory_high_watermark", "0.4")
        case .diskAlarm:
            try await self.node.control("set_disk_free_limit", "1000000GB")
            try await Task.sleep(for: .seconds(1 + 3 * severity))
            try await self.node.control("set_disk_free_limit", "50MB")
        case .deleteExchange:
            try await self.broker.deleteExchange("openstack", virtualHost: "%2F")
        case .killWorker: try await self.workers.kill(severity > 0.5 ? 0 : 1)
        case .freezeWorker:
            // Up to several heartbeats: the broker may hand its messages to nobody else, and gets them back.
            self.workers.send(SIGSTOP, to: severity > 0.5 ? 0 : 1)
            try await Task.sleep(for: .seconds(1 + 8 * severity))
            self.workers.send(SIGCONT, to: severity > 0.5 ? 0 : 1)
        case .malformed:
            let bodies: [[UInt8]] = [[], [0xFF, 0xFE], Array("{\"oslo.version\":".utf8), Array("[[[[".utf8)]
            for body in bodies {
                // Whatever becomes of it, what counts is that nothing else is disturbed.
                try? await self.services[0].clientTransport.send(
                    Message(body: body),
                    to: .queue("\(self.topic).first"),
                    options: SendOptions(deadline: .now + .seconds(2))
                )
            }
        }
        self.proxy.heal()
    }

    private func disturb(
        _ severity: Double,
        _ direction: FaultProxy.Direction? = nil,
        _ change: (inout FaultProxy.Flow) -> Void
    ) async throws {
        self.proxy.change(direction, change)
        try await Task.sleep(for: .seconds(1 + 6 * severity))
    }
}
