import Foundation
import Testing

/// `steward config`, with the workers that lie beside it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ConfigCommandTests {
    private func withFile(_ name: String, _ text: String, _ body: (String) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "steward-\(UUID())-\(name)")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }  // Left behind, it disturbs nobody.
        try await body(file.path)
    }

    private func check(_ arguments: String...) async throws -> StewardProgram.Run {
        try await StewardProgram.run(["config", "check"] + arguments)
    }

    @Test(arguments: ["volume-worker", "scheduler-worker"], ["ini", "yaml", "json"])
    func `a sample of any worker, in any format, is a right configuration`(worker: String, format: String) async throws
    {
        let sample = try await StewardProgram.run(["config", "sample", "--program", worker, "--format", format])
        #expect(sample.code == 0 && sample.errors == "")
        #expect(sample.output.contains("rpc_response_timeout") && sample.output.contains("rabbit_quorum_queue"))
        try await self.withFile("sample.\(format == "ini" ? "conf" : format)", sample.output) { path in
            let run = try await self.check("--program", worker, path)
            #expect(run.code == 0 && run.output == "", "\(run.output)")
        }
    }

    @Test func `every mistake has a line of its own, with the file's and the line's name`() async throws {
        try await self.withFile("worker.yaml", "host: a\nrpc_prefetch: 0\nreport_intervall: 5\n") { path in
            let run = try await self.check(path)
            #expect(run.code == 1)
            #expect(
                run.output == """
                    \(path):2: error: option 'rpc_prefetch' is '0'; it must be between 1 and 65535
                    \(path):3: error: option 'report_intervall' is not known; did you mean 'report_interval'?

                    """
            )
        }
    }

    @Test func `warnings alone are no failure`() async throws {
        try await self.withFile("cinder.conf", "[DEFAULT]\nrpc_thread_pool_size = 8\n[database]\nconnection = x\n") {
            path in
            let run = try await self.check(path)
            #expect(run.code == 0)
            #expect(
                run.output == """
                    \(path):2: warning: option 'rpc_thread_pool_size' is now called 'executor_thread_pool_size'
                    \(path):4: warning: option 'database.connection' is not known

                    """
            )
        }
    }

    @Test func `a broker that cannot be one is a mistake, and its password is not told`() async throws {
        try await self.withFile("worker.conf", "[DEFAULT]\ntransport_url = kafka://me:hush@h/\n") { path in
            let run = try await self.check(path)
            #expect(run.code == 1)
            #expect(run.output.contains("error: option 'transport_url' is wrong"))
            #expect(!run.output.contains("hush"))
        }
    }

    @Test func `what cannot be done is wrong usage`() async throws {
        for arguments in [["check"], ["sample", "--format", "xml"], ["sample", "--program", "/no/such/program"]] {
            let run = try await StewardProgram.run(["config"] + arguments)
            #expect(run.code == 2, "\(arguments)")
            #expect(run.output == "")
        }
    }
}
