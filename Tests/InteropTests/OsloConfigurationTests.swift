import Foundation
import Messaging
import MessagingTesting
import ServiceRuntime
import Testing

extension ServiceOption where Value == String {
    fileprivate static var a: Self { Self("a", default: "unset", help: "a text") }
    fileprivate static var b: Self { Self("b", default: "unset", help: "a text") }
    fileprivate static var inner: Self { Self("a", section: "sec", default: "unset", help: "a text") }
}

extension ServiceOption where Value == Int {
    fileprivate static var number: Self { Self("number", default: 7, help: "a number") }
}

extension ServiceOption where Value == Bool {
    fileprivate static var flag: Self { Self("flag", default: false, help: "a truth") }
}

extension ServiceOption where Value == [String] {
    fileprivate static var list: Self { Self("list", default: ["x"], help: "a list") }
}

/// The same files, read by the real oslo.config and by us.
///
/// Where the two differ on purpose, oslo refuses what is read here: a reference to nothing stays as it is, and a truth that
/// is left empty counts as not set.
@Suite(.serialized, .timeLimit(.minutes(3))) struct OsloConfigurationTests {
    private static let options: [any ServiceOptionDeclaration] = [
        ServiceOption<String>.a, ServiceOption<String>.b, ServiceOption<String>.inner, ServiceOption<Int>.number,
        ServiceOption<Bool>.flag, ServiceOption<[String]>.list,
    ]

    private static let declared: JSONValue = [
        ["DEFAULT", "a", "str", "unset"], ["DEFAULT", "b", "str", "unset"], ["sec", "a", "str", "unset"],
        ["DEFAULT", "number", "int", 7], ["DEFAULT", "flag", "bool", false], ["DEFAULT", "list", "list", ["x"]],
    ]

    /// What each side makes of a text: the values, or `nil` where it is refused.
    private func read(_ texts: [String], _ peer: PythonPeer, in directory: URL) async throws -> (
        ours: [String: JSONValue]?, oslo: [String: JSONValue]?
    ) {
        var files: [String] = []
        for (number, text) in texts.enumerated() {
            let file = directory.appending(path: "\(number).conf")
            try Data(text.utf8).write(to: file)
            files.append(file.path)
        }
        let answer = try await peer.ask([
            "files": .array(files.map { .string($0) }), "options": Self.declared,
        ])
        var oslo = answer["values"]?.objectValue
        // Left empty a number is none for oslo; here there is always one, the default.
        if oslo?["DEFAULT.number"] == .null { oslo?["DEFAULT.number"] = 7 }
        let failures = oslo?.values.compactMap { $0["error"]?.stringValue } ?? []
        // The one difference on purpose that chance finds.
        if failures.contains(where: { ["NoSuchOptError", "NoSuchGroupError"].contains($0) }) { return ([:], [:]) }
        let isRefused = oslo?.values.contains { $0["error"] != nil } ?? true
        return (self.ours(files), isRefused ? nil : oslo)
    }

    private func ours(_ files: [String]) -> [String: JSONValue]? {
        do {
            let configuration = try ServiceConfiguration(options: Self.options, environment: [:], files: files)
            return [
                "DEFAULT.a": .string(configuration[.a]), "DEFAULT.b": .string(configuration[.b]),
                "sec.a": .string(configuration[.inner]), "DEFAULT.number": .integer(configuration[.number]),
                "DEFAULT.flag": .bool(configuration[.flag]),
                "DEFAULT.list": .array(configuration[.list].map { .string($0) }),
            ]
        } catch {
            return nil
        }
    }

    private func withPeer(_ body: (PythonPeer, URL) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "oslo-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer {
            // Left to the system where it cannot be removed.
            try? FileManager.default.removeItem(at: directory)
        }
        try await withPythonPeer("config.py") { try await body($0, directory) }
    }

    @Test func `every shape of a file means the same to oslo.config`() async throws {
        let shapes = [
            "a = 1", "a: 1", "a=1=2", "a = 1: 2", "a : 1 = 2", "a =", "a = ' x '", "a = \"x'", "a = \"", "a = '",
            "a = ''",
            "a = x # y", "a = x ; y", "# a = x", "; a = x", "a = x\na = y", "a = x\n y\n\tz", "a = x\n # y",
            "a = x\n\n y",
            "a = x\n[sec]\na = y", "a = x\r\nb = y\r\n", "a = x\rb = y", "a", "= x", "[x", "[]", "[sec] # x",
            "[sec ]\na = x",
            "[SEC]\na = x", "[Sec]\na = x\n[sec]\na = y", "[default]\na = x", " a = x", "A = x", "a = %", "a = %(b)s",
            "a = $b", "b = y\na = $b", "b = y\na = ${b}z", "a = $$b", "a = \\$b", "a = \\\\$b", "a = $",
            "a = $ b", "a = ${b", "a = ${}", "a = $1", "a = $$$b", "a = \\$$b", "a = $a", "a = $b\nb = $a",
            "a = $sec.a",
            "[sec]\na = y\n[DEFAULT]\na = ${sec.a}", "b = $number$a", "[sec]\na = $b", "[sec]\na = $a",
            "number = 1", "number = -1", "number = 0x1", "number = 1.0", "number = +1", "number = x", "number = '5'",
            "flag = yes", "flag = TRUE", "flag = 0", "flag = Off", "flag = maybe", "list = a, b ,c", "list = a,b,",
            "list = ", "list = a,,b", "list = a,\n b", "list = ,", "list = $b,$b\nb = y", "a = x\u{A0}",
            "a = \u{2028}x",
            "a\u{301} = x", "a = x\u{301}", "a = \u{1F}x\u{1C}", "a = \u{0}", "\u{FEFF}a = x", "a = x\u{85}b = y",
            "a = x\u{B}b = y", "a = x\u{C}\n\u{C}\nb = y", "a\t=\tx", "a = x\n\u{A0}y", "unknown = 1\n[other]\nx = y",
        ]
        try await withPeer { peer, directory in
            for shape in shapes {
                let (ours, oslo) = try await read(["[DEFAULT]\n" + shape + "\n"], peer, in: directory)
                #expect(ours == oslo, "\(String(reflecting: shape))")
            }
            for shape in ["a = x", "\na = x", "", "# x\n[DEFAULT]a = x", "x\n[DEFAULT]"] {
                let (ours, oslo) = try await read([shape], peer, in: directory)
                #expect(ours == oslo, "\(String(reflecting: shape))")
            }
        }
    }

    @Test func `a later file goes before an earlier one, for oslo.config as well`() async throws {
        try await withPeer { peer, directory in
            let (ours, oslo) = try await read(
                [
                    "[DEFAULT]\na = 1\nb = 2\nlist = x,y", "[DEFAULT]\na = 3$b\n[Sec]\na = 4",
                    "[DEFAULT]\nb = 5\nlist = z",
                ],
                peer,
                in: directory
            )
            #expect(ours == oslo)
            #expect(ours?["DEFAULT.a"] == "35")
        }
    }

    @Test func `thousands of files of chance mean the same to oslo.config`() async throws {
        let parts = [
            "a", "b", "a", "b", "number", "list", " = ", "=", ":", " : ", "\n", "\n", "\n", "\n ", "\n\t", "\n\n",
            "[sec]", "\n[sec]\n", "\n[DEFAULT]\n", "[", "]", "#", "; ", "'", "\"", "$", "$a", "${b}", "${sec.a}", "$$",
            "\\$",
            "1", "true", "x, y", ",", " ", "\r\n", "\u{A0}", "\u{2003}", "e\u{301}",
        ]
        var random = SplitMix64(state: 20_260_711)
        var (accepted, refused) = (0, 0)
        try await withPeer { peer, directory in
            for _ in 0..<3000 {
                let count = Int.random(in: 1...14, using: &random)
                let text = "[DEFAULT]\n" + (0..<count).compactMap { _ in parts.randomElement(using: &random) }.joined()
                let (ours, oslo) = try await read([text], peer, in: directory)
                #expect(ours == oslo, "\(String(reflecting: text))")
                if oslo == nil { refused += 1 } else { accepted += 1 }
            }
        }
        #expect(accepted > 300 && refused > 300, "\(accepted) accepted, \(refused) refused")
    }
}
