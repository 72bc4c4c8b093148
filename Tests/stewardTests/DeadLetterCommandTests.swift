import ArgumentParser
import Messaging
import Testing

@testable import steward

/// Parses a command line as the program does; answers what is wrong with it.
private func problem(_ arguments: String...) -> String? {
    do {
        let command = try StewardCommand.parseAsRoot(
            ["dead-letters", arguments[0], "--url", "rabbit://h/"] + arguments.dropFirst()
        )
        _ = try (command as? any SessionCommand)?.prepare()
        return command is any SessionCommand ? nil : "no command of a session"
    } catch {
        return StewardCommand.fullMessage(for: error)
    }
}

@Suite struct DeadLetterCommandTests {
    @Test func `each command takes a topic, and what chooses among the letters`() {
        #expect(problem("list", "--topic", "T") == nil)
        #expect(problem("list", "--topic", "T", "--method", "m", "--older-than", "60", "--limit", "5") == nil)
        #expect(problem("show", "--topic", "T", "--id", "1", "--show-arguments") == nil)
        for command in ["replay", "drop"] {
            #expect(problem(command, "--topic", "T", "--id", "1", "--id", "2", "--dry-run") == nil)
            #expect(problem(command, "--topic", "T", "--method", "m") == nil)
            #expect(problem(command, "--topic", "T", "--older-than", "0.5") == nil)
            #expect(problem(command, "--topic", "T", "--all") == nil)
        }
    }

    @Test func `what is changed has to be said`() {
        for command in ["replay", "drop"] {
            #expect(problem(command, "--topic", "T")?.contains("--all") == true)
            #expect(problem(command, "--topic", "T", "--dry-run")?.contains("--all") == true)
            #expect(problem(command, "--topic", "T", "--all", "--id", "1")?.contains("--all") == true)
        }
        #expect(problem("show", "--topic", "T")?.contains("--id") == true)
    }

    @Test(arguments: [["--topic", ""], ["--topic", "a#"], [], ["--topic", "T", "--limit", "0"]])
    func `what cannot be looked at is a usage error`(_ arguments: [String]) {
        do {
            _ = try StewardCommand.parseAsRoot(["dead-letters", "list", "--url", "rabbit://h/"] + arguments)
            Issue.record("it was taken")
        } catch {
            #expect(StewardCommand.exitCode(for: error) == .validationFailure)
        }
    }

    @Test(arguments: [
        ["dead-letters", "--help"], ["dead-letters", "list", "-h"], ["help", "dead-letters", "replay"],
    ])
    func `help shows examples`(_ arguments: [String]) throws {
        do {
            var command = try StewardCommand.parseAsRoot(arguments)
            try command.run()
        } catch {
            #expect(StewardCommand.exitCode(for: error) == .success)
            #expect(StewardCommand.fullMessage(for: error).contains("steward dead-letters"))
        }
    }
}
