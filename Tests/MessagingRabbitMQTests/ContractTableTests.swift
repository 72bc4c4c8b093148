import Foundation
import Testing

/// The guide `WireContract` names a test for each rule; none of them may be a promise only.
@Suite struct ContractTableTests {
    @Test func `every test that the table of the wire contract names exists`() throws {
        let tests = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent()
        let guide = tests.deletingLastPathComponent()
            .appendingPathComponent("Sources/MessagingRabbitMQ/MessagingRabbitMQ.docc/WireContract.md")
        var sources = ""
        for case let file as URL in try #require(
            FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil)
        )
        where file.pathExtension == "swift" {
            sources += try String(contentsOf: file, encoding: .utf8)
        }
        var named = 0
        for line in try String(contentsOf: guide, encoding: .utf8).split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.split(separator: "|")
            guard let last = cells.last(where: { !$0.allSatisfy(\.isWhitespace) }), cells.count >= 3 else { continue }
            guard !last.contains("Test ") else { continue }
            let names = last.split(separator: "`").enumerated().filter { !$0.offset.isMultiple(of: 2) }.map(\.element)
            #expect(!names.isEmpty, "no test: \(line)")
            for name in names {
                let exists = sources.contains("func `\(name)`")
                #expect(exists, "there is no test '\(name)'")
                named += 1
            }
        }
        #expect(named > 80)
    }
}
