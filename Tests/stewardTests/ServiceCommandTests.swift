import ArgumentParser
import Messaging
import ServiceRuntime
import Testing

@testable import steward

private func message(_ arguments: [String]) -> String? {
    do {
        _ = try StewardCommand.parseAsRoot(["services"] + arguments)
        return nil
    } catch {
        return StewardCommand.fullMessage(for: error)
    }
}

@Suite struct ServiceCommandTests {
    private static let broker = ["--url", "rabbit://u:s3cret@h/v"]

    @Test func `a database takes the place of the broker`() throws {
        let list = try #require(
            try StewardCommand.parseAsRoot([
                "services", "list", "--database", "postgresql://u:hush@h/d", "--watch", "65",
            ])
                as? Services.ServiceList
        )
        #expect(!list.usesBroker && list.timeLimit == .seconds(75))
        let disable = try #require(
            try StewardCommand.parseAsRoot(
                ["services", "disable", "node-1", "--topic", "T", "--reason", "x"] + Self.broker
            )
                as? Services.Disable
        )
        #expect(disable.usesBroker)
        #expect(disable.options.target("node-1") == .topic("T", server: "node-1"))
        #expect(disable.change.isDisabled == true && disable.change.disabledReason == "x")
    }

    @Test func `what is missing or cannot be used is a usage error that shows no password`() {
        #expect(message(["list"] + Self.broker)?.contains("--topic") == true)
        #expect(message(["freeze", "", "--database", "sqlite:///x"])?.contains("host is empty") == true)
        #expect(message(["remove", "node-1"] + Self.broker)?.contains("--database") == true)
        let mysql = message(["list", "--database", "mysql+pymysql://u:hush@h/d"])
        #expect(mysql?.contains("mysql+pymysql") == true && mysql?.contains("hush") == false)
        #expect(message(["list", "--database", ""])?.contains("scheme") == true)
    }
}
