import AMQPClient
import Glibc
import Synchronization
import TestSupport
import Testing

/// The name of the current thread, as the system knows it.
private var threadName: String {
    guard let file = fopen("/proc/thread-self/comm", "r") else { return "?" }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 64)
    guard fgets(&line, 64, file) != nil else { return "?" }
    return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Where the system tells of the current thread, as long as it lives.
private var threadPath: String {
    var path = [CChar](repeating: 0, count: 64)
    let count = readlink("/proc/thread-self", &path, 63)
    return "/proc/" + String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Holds the current thread, as a handler does that knows no better.
private func block(for seconds: Double) {
    usleep(UInt32(seconds * 1e6))
}

/// Keeps the current thread busy.
private func compute(for duration: Duration) {
    let end = ContinuousClock.now + duration
    while .now < end {}
}

extension AMQPChannel {
    fileprivate func publish(_ text: String) async throws {
        try await self.publish(AMQPMessage(text), exchange: "", routingKey: "work")
    }
}

/// Waits for something until the task goes on where that was read: mostly at once, but on a busy machine an answer may
/// come before its task has begun to wait.
private func reachConnectionThread(_ wait: () async throws -> Void) async throws {
    for _ in 0..<100 {
        try await wait()
        if threadName == "amqp" { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("the task never went on on the connection's thread")
}

@Suite(.timeLimit(.minutes(3))) struct TaskExecutorTests {
    /// Lends a channel with confirms and a queue `work`, to a task on the threads of connections.
    private func withChannel(
        _ configure: (inout AMQPConfiguration) -> Void = { _ in },
        _ body: @Sendable (AMQPConnection, AMQPChannel) async throws -> Void
    ) async throws {
        try await withConnection(url: nil, configure) { connection in
            let channel = try await connection.openChannel()
            try await channel.confirmPublishes()
            try await channel.declareQueue("work")
            try await withTaskExecutorPreference(AMQPTaskExecutor.shared) { try await body(connection, channel) }
        }
    }

    @Test func `a task goes on where the answer was read that it waited for`() async throws {
        try await self.withChannel { _, channel in
            try await reachConnectionThread { try await channel.publish("1") }
        }
    }

    @Test func `a task that was woken elsewhere runs in the shared pool`() async throws {
        try await self.withChannel { _, channel in
            try await channel.publish("1")
            try await Task.sleep(for: .milliseconds(1))
            #expect(threadName != "amqp")
        }
    }

    @Test func `a task that blocks the thread of its connection does not stop the connection`() async throws {
        try await self.withChannel({ $0.heartbeat = .seconds(1) }) { connection, channel in
            let states = Collector<AMQPConnectionState>()
            connection.onStateChange { states.add($0) }
            try await withThrowingTaskGroup(of: Duration.self) { group in
                group.addTask {
                    try await channel.publish("1")
                    block(for: 4)
                    return .zero
                }
                // Waits in the same way, while the thread is held.
                group.addTask {
                    try await Task.sleep(for: .milliseconds(100))
                    let start = ContinuousClock.now
                    for number in 0..<20 { try await channel.publish("\(number)") }
                    return .now - start
                }
                let duration = try await group.next()
                #expect(try #require(duration) < .seconds(3))
                try await group.waitForAll()
            }
            #expect(states.all.isEmpty)
            #expect(try await channel.declareQueuePassively("work").messageCount == 21)
        }
    }

    @Test func `what a task publishes is written although the task then blocks`() async throws {
        try await withVirtualHost { url, _ in
            try await withConnection(url: url) { other in
                let reader = try await other.openChannel()
                try await reader.declareQueue("work")
                let received = Collector<AMQPDelivery>()
                try await reader.consume(queue: "work", noAck: true, onDelivery: { received.add($0) })
                try await withConnection(url: url) { connection in
                    let channel = try await connection.openChannel()
                    try await withTaskExecutorPreference(AMQPTaskExecutor.shared) {
                        // Woken by one connection, it publishes over another.
                        try await reachConnectionThread { _ = try await reader.declareQueuePassively("work") }
                        let start = ContinuousClock.now
                        channel.post(AMQPMessage("1"), exchange: "", routingKey: "work") { _ in }
                        while received.all.isEmpty, .now - start < .seconds(10) { block(for: 0.01) }
                        #expect(received.all.count == 1)
                    }
                }
            }
        }
    }

    @Test func `many tasks that block do so at the same time`() async throws {
        try await self.withChannel { _, channel in
            let start = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    group.addTask {
                        try await channel.publish("\(number)")
                        block(for: 1)
                    }
                }
                try await group.waitForAll()
            }
            // One after the other it would be six seconds; the shared pool has a thread for each processor at least.
            #expect(.now - start < .seconds(5))
        }
    }

    @Test func `tasks that compute for long leave the connection's thread to itself`() async throws {
        try await self.withChannel { _, channel in
            let names = Mutex<[String]>([])
            for _ in 0..<3 {
                try await reachConnectionThread { try await channel.publish("long") }
                compute(for: .milliseconds(8))
                try await channel.publish("next")
                names.withLock { $0.append(threadName) }
            }
            #expect(names.withLock { $0.contains { $0 != "amqp" } })
            // After a while they are given another chance.
            try await reachConnectionThread { try await channel.publish("short") }
        }
    }

    @Test func `a thread that was given up ends with the task that held it`() async throws {
        try await self.withChannel { _, channel in
            try await reachConnectionThread { try await channel.publish("1") }
            let thread = threadPath
            block(for: 0.2)
            // Where the task goes on is another thread.
            try await channel.publish("2")
            let start = ContinuousClock.now
            while access(thread, F_OK) == 0, .now - start < .seconds(10) { try await Task.sleep(for: .milliseconds(5)) }
            #expect(access(thread, F_OK) != 0)
        }
    }

    @Test func `a hundred tasks that hand on to each other lose nothing`() async throws {
        try await self.withChannel { connection, channel in
            let other = try await connection.openChannel()
            try await other.confirmPublishes()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        for round in 0..<20 {
                            try await (round % 2 == 0 ? channel : other).publish("\(number)")
                            if round % 7 == number % 7 { compute(for: .microseconds(300)) }
                            if round % 10 == number % 10 { try await Task.sleep(for: .milliseconds(1)) }
                            if number == 50, round == 10 { block(for: 0.1) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await channel.declareQueuePassively("work").messageCount == 2_000)
        }
    }
}
