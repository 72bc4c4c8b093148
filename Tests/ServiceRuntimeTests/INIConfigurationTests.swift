import Foundation
import Messaging
import Testing

@testable import ServiceRuntime

extension ServiceOption where Value == String {
    fileprivate static var first: Self { Self("first", default: "unset", help: "a text") }
    fileprivate static var second: Self { Self("second", default: "unset", help: "a text") }
    fileprivate static var inner: Self { Self("inner", section: "group", default: "unset", help: "a text") }
}

extension ServiceOption where Value == Int {
    fileprivate static var count: Self {
        Self("count", default: 3, in: 1...9, help: "a number", deprecated: ["number", "old.amount"])
    }
}

extension ServiceOption where Value == Int? {
    fileprivate static var limit: Self { Self("limit", default: nil, in: 0...100, help: "a limit") }
}

extension ServiceOption where Value == [String] {
    fileprivate static var names: Self { Self("names", default: ["a"], help: "names") }
}

extension ServiceOption where Value == Secret {
    fileprivate static var password: Self { Self("password", default: Secret(""), help: "a password") }
}

/// Files as oslo.config reads them; that it does so is compared with the real one in InteropTests.
struct INIConfigurationTests {
    private static let options: [any ServiceOptionDeclaration] = [
        ServiceOption<String>.first, ServiceOption<String>.second, ServiceOption<String>.inner,
        ServiceOption<Int>.count, ServiceOption<Int?>.limit, ServiceOption<[String]>.names,
        ServiceOption<Secret>.password,
    ]

    private func read(_ text: String, environment: [String: String] = [:]) throws -> ServiceConfiguration {
        try withConfigurationFile(text, named: "worker.conf") { file in
            try ServiceConfiguration(options: Self.options, environment: environment, files: [file])
        }
    }

    private func message(_ text: String) throws -> String {
        let error = try #require(throws: ServiceError.self) { _ = try read(text) }
        #expect(error.code == .invalidConfiguration)
        return error.message
    }

    @Test(
        arguments: [
            ("first = a", "a"), ("first: a", "a"), ("first=a=b", "a=b"), ("first = a: b", "a: b"),
            ("first : a = b", "a = b"),
            ("first =", ""), ("first = 'a b '", "a b "), ("first = \"a'", "\"a'"), ("first = \"", ""),
            ("first = ''", ""),
            ("first = a # b", "a # b"), ("first = a ; b", "a ; b"), ("# first = a", "unset"), ("; first = a", "unset"),
            ("first = a\nfirst = b", "b"), ("first = a\n  b\n\tc", "a\nb\nc"), ("first = a\n  # b", "a\n# b"),
            ("first = a\n\n[DEFAULT]\nsecond = b", "a"), ("first = a\r\nsecond = b\r\n", "a"),
            ("first = a\rsecond = b", "a"),
            ("first = a\u{301}=b", "a\u{301}=b"), ("First = a", "unset"), ("first = 50%\n", "50%"),
            ("first = %(x)s", "%(x)s"),
        ])
    func `a value is what oslo takes it for`(line: String, value: String) throws {
        #expect(try read("[DEFAULT]\n\(line)")[.first] == value)
    }

    @Test(
        arguments: [
            ("[DEFAULT]\nfirst", ":2: there is no '=' or ':'"), ("[DEFAULT]\n= a", ":2: a value has no name"),
            ("[DEFAULT\n", ":1: a section's line must end with ']'"), ("[]", ":1: a section has no name"),
            ("[DEFAULT] # x", ":1: a section's line must end with ']'"),
            ("\nfirst = a", ":2: option 'first' stands before"),
            ("[DEFAULT]\n  first = a", ":2: a line that begins with white space"),
            ("[DEFAULT]\nfirst = a\n\n  b", ":4: a line that begins with white space"),
            ("[DEFAULT]\ncount = 10", ":2: option 'count' is '10'; it must be between 1 and 9"),
            ("[DEFAULT]\ncount = ten", ":2: option 'count' is 'ten'; it must be a whole number between 1 and 9"),
            ("[DEFAULT]\nlimit = 101", ":2: option 'limit' is '101'; it must be between 0 and 100"),
        ])
    func `what cannot be read is named with its line`(text: String, expected: String) throws {
        #expect(try message(text).contains("worker.conf" + expected))
    }

    @Test func `bytes that are no text are named with their line`() throws {
        try withConfigurationDirectory([:]) { directory in
            let path = directory + "/worker.conf"
            try Data("[DEFAULT]\nfirst = \u{E9}\n".data(using: .isoLatin1) ?? Data()).write(to: URL(filePath: path))
            let error = #expect(throws: ServiceError.self) {
                try ServiceConfiguration(options: Self.options, environment: [:], files: [path])
            }
            #expect(error?.message == "\(path):2: the file is not text in UTF-8")
        }
    }

    @Test func `sections are told apart, without regard to case`() throws {
        let text =
            "[Group]\ninner = a\n[DEFAULT]\ninner = wrong\nfirst = b\n[GROUP]\ninner = c\n[default]\nfirst = wrong"
        let configuration = try read(text)
        #expect(configuration[.inner] == "c")
        #expect(configuration[.first] == "b")
        #expect(configuration.report["group"] == ["inner": "c"])
    }

    @Test func `lists stand between commas, and may go on in the next line`() throws {
        #expect(try read("[DEFAULT]\nnames = a, b ,c,")[.names] == ["a", "b", "c"])
        #expect(try read("[DEFAULT]\nnames = a,\n  b")[.names] == ["a", "b"])
        #expect(try read("[DEFAULT]\nnames =")[.names] == [])
        #expect(try read("[DEFAULT]\n")[.names] == ["a"])
    }

    @Test func `a number that is left empty counts as not set`() throws {
        let configuration = try read("[DEFAULT]\ncount =\nlimit =")
        #expect(configuration[.count] == 3)
        #expect(configuration[.limit] == nil)
        #expect(configuration.warnings.map(\.explanation) == ["option 'count' is empty, which counts as not set"])
    }

    @Test func `a former name is read, and warned of once`() throws {
        let configuration = try read("[DEFAULT]\nnumber = 4")
        #expect(configuration[.count] == 4)
        #expect(configuration.warnings.map(\.explanation) == ["option 'number' is now called 'count'"])
        #expect(configuration.warnings.first?.place.line == 2)
        #expect(try read("[old]\namount = 5")[.count] == 5)
        #expect(try read("[DEFAULT]\nnumber = 4\ncount = 6")[.count] == 6)
        #expect(try message("[DEFAULT]\nnumber = 40").contains("option 'number' is '40'"))
    }

    @Test(
        arguments: [
            ("$second", "b"), ("${second}", "b"), ("x${second}y", "xby"), ("$second/y", "b/y"), ("$group.inner", "i"),
            ("${group.inner}!", "i!"), ("$$second", "$second"), ("\\$second", "$second"), ("\\$$second", "$b"),
            ("$", "$"),
            ("$5", "$5"), ("${second", "${second"), ("$nobody", "$nobody"), ("pa$$word", "pa$word"), ("$foreign", "f"),
            ("$count", "3"), ("$second$second", "bb"), ("${}", "${}"), ("$DEFAULT.second", "b"),
        ])
    func `a dollar sign refers to another option`(value: String, result: String) throws {
        let text = "[DEFAULT]\nfirst = \(value)\nsecond = b\nforeign = f\n[group]\ninner = i"
        #expect(try read(text)[.first] == result)
    }

    @Test func `references do not loop, and do not grow without limit`() throws {
        #expect(try message("[DEFAULT]\nfirst = $first").contains("refers to itself: $first -> $first"))
        #expect(
            try message("[DEFAULT]\nfirst = a$second\nsecond = b$first").contains(":2: option 'first' cannot be read")
        )
        let laughs = (0..<30).map { "v\($0) = \(String(repeating: "$v\($0 + 1)", count: 10))" }.joined(separator: "\n")
        let start = ContinuousClock.now
        #expect(try message("[DEFAULT]\nfirst = $v0\n\(laughs)\nv30 = lol").contains("longer than"))
        // Nothing may be done twice: a tenfold reference to nothing costs as much.
        #expect(try read("[DEFAULT]\nfirst = $v0\n\(laughs)\nv30 =")[.first] == "")
        let chain = (0..<20_000).map { "v\($0) = $v\($0 + 1)" }.joined(separator: "\n")
        #expect(try message("[DEFAULT]\nfirst = $v0\n\(chain)").contains("more than 32 in a row"))
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test func `a value that is expanded does not stand in an error where it is secret`() throws {
        let configuration = try read("[DEFAULT]\npassword = geheim$second\nsecond = x")
        #expect(configuration[.password].reveal() == "geheimx")
        #expect(!configuration.description.contains("geheim"))
        #expect(try !message("[DEFAULT]\npassword = geheim$password").contains("geheim"))
    }

    @Test func `names that are not known are warnings in oslo's files, with what may be meant`() throws {
        let configuration = try read(
            "[DEFAULT]\nsecnod = b\nvolumes_dir = /x\n[group]\niner = a\n[database]\nmax = 1\n"
        )
        #expect(
            configuration.warnings.map(\.explanation) == [
                "option 'secnod' is not known; did you mean 'second'?", "option 'volumes_dir' is not known",
                "option 'group.iner' is not known; did you mean 'group.inner'?", "option 'database.max' is not known",
            ]
        )
        #expect(configuration.warnings.map(\.place.line) == [2, 3, 5, 7])
        #expect(configuration.warnings.allSatisfy { $0.kind == .unknown && !$0.isError })
    }

    @Test func `the environment has sections behind two underscores`() throws {
        let configuration = try read(
            "[group]\ninner = file",
            environment: ["STEWARD_GROUP__INNER": "environment", "STEWARD_FIRST": "$second", "STEWARD_NAMES": "a,b"]
        )
        #expect(configuration[.inner] == "environment")
        #expect(configuration[.first] == "$second")
        #expect(configuration[.names] == ["a", "b"])
        #expect(configuration.isSet(.inner) && !configuration.isSet(.second))
    }

    @Test func `a file that is full of strange names is read in bounded time`() throws {
        let names = (0..<40_000).map { "opt\($0 % 7)ion_\($0) = 1" }.joined(separator: "\n")
        let start = ContinuousClock.now
        let configuration = try read("[DEFAULT]\n\(names)")
        #expect(configuration.warnings.count == 1000)
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}
