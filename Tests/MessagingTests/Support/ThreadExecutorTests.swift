import Glibc
import Testing

@testable import Messaging

@Suite(.timeLimit(.minutes(3))) struct ThreadExecutorTests {
    @Test func `tasks run on its thread, their children and their continuations too`() async {
        let executor = ThreadExecutor(name: "test-executor")
        let threads = await executor.use {
            await withTaskExecutorPreference(executor) {
                var threads = [pthread_self()]
                threads.append(
                    await withTaskGroup(of: pthread_t.self) { group in
                        group.addTask { pthread_self() }
                        return await group.next() ?? 0
                    }
                )
                await Task.detached { await Task.yield() }.value
                threads.append(pthread_self())
                threads.append(await Task(executorPreference: executor) { pthread_self() }.value)
                return threads
            }
        }
        #expect(Set(threads).count == 1)
        #expect(threads.count == 4)
        #expect(!executor.isRunning)
    }

    @Test func `its thread has a name, by which it is known to those who look at the process`() async {
        let executor = ThreadExecutor(name: "test-named")
        let name = await executor.use {
            await Task(executorPreference: executor) {
                var name = [CChar](repeating: 0, count: 16)
                readThreadName(&name)
                return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }.value
        }
        #expect(name == "test-named")
    }

    @Test func `its thread ends with its last user, and comes back with the next`() async {
        let executor = ThreadExecutor(name: "test-executor")
        #expect(!executor.isRunning)
        for _ in 1...50 {
            await withTaskGroup(of: Void.self) { group in
                for _ in 1...4 {
                    group.addTask {
                        await executor.use {
                            let sum = await Task(executorPreference: executor) { 1 + 1 }.value
                            #expect(sum == 2)
                        }
                    }
                }
            }
            #expect(!executor.isRunning)
        }
    }

    @Test func `a job that comes when nobody uses it is run all the same`() async {
        let executor = ThreadExecutor(name: "test-executor")
        #expect(await Task(executorPreference: executor) { 7 }.value == 7)
        for _ in 1...1_000 where executor.isRunning { await Task.yield() }
    }
}

/// The name of the current thread.
private func readThreadName(_ name: inout [CChar]) {
    let file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    let count = read(file, &name, name.count - 1)
    close(file)
    // It ends in a line break.
    if count > 0 { name[count - 1] = 0 }
}
