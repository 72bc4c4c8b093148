import Foundation
import Testing

@Suite struct GuideTests {
    @Test func `the guide to tests without a broker shows code that is tested, line by line`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        func text(_ path: String) throws -> String {
            try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        }
        let guide = try text("Sources/MessagingTesting/MessagingTesting.docc/TestAManager.md")
        let tests = try [
            text("Tests/MessagingTests/Testing/ManagerWithoutBrokerTests.swift"),
            text("Tests/ServiceRuntimeTests/TestedServiceTests.swift"),
        ]
        let blocks = guide.components(separatedBy: "```swift\n").dropFirst().compactMap {
            $0.components(separatedBy: "```").first
        }
        #expect(blocks.count == 4)
        for block in blocks {
            #expect(tests.contains { $0.contains(block) }, "no test holds these lines:\n\(block)")
        }
    }
}
