import MessagingTesting
import Testing

@Suite struct EventRecorderTests {
    @Test func `a wait that is cancelled says so, and not that events are missing`() async {
        let recorder = EventRecorder<Int>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await #expect(throws: CancellationError.self) { try await recorder.first(1) }
            }
            group.cancelAll()
        }
    }

    @Test func `events that are missing at the limit are an error that counts them`() async {
        let recorder = EventRecorder<Int>()
        recorder.record([1, 2])
        let error = await #expect(throws: EventRecorder<Int>.NotEnough.self) {
            try await recorder.first(3, within: .milliseconds(20))
        }
        #expect(error?.description.contains("there were 2") == true)
    }
}
