internal import ArgumentParser
internal import Glibc

/// The configurations of workers: every worker knows its own options, so the command becomes the worker.
struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a worker's configuration may say, or check what one says.",
        subcommands: [ConfigSample.self, ConfigCheck.self]
    )
}

/// The worker that is asked.
struct WorkerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The worker's program, which lies beside this one or is a path; any that is made with WorkerCommand.",
            valueName: "program"
        )
    )
    var program = "volume-worker"

    /// Where the program is: a path as it stands, else beside this program, else wherever the shell would find it.
    private var path: String {
        guard !self.program.contains("/") else { return self.program }
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &bytes, bytes.count)
        guard count > 0 else { return self.program }
        let own = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let sibling = own.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/" + self.program
        return access(sibling, X_OK) == 0 ? sibling : self.program
    }

    /// Becomes the program.
    ///
    /// - Throws: `ValidationError` where there is no such program; otherwise it does not return.
    func run(_ arguments: [String]) throws -> Never {
        let path = self.path
        var pointers = ([path] + arguments).map { strdup($0) }
        pointers.append(nil)
        // What the program is called with is copied; these copies are needed again only where there is no program.
        _ = execvp(path, &pointers)
        let error = SystemError(code: errno, subject: path)
        for pointer in pointers { free(pointer) }
        throw ValidationError("the program cannot be run: \(error)")
    }
}

struct ConfigSample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample",
        abstract: "Print all options of a worker, as a configuration file.",
        discussion: #"""
            Each option with what it is for, which values are valid, its default, whether it
            may change while the worker runs, and its earlier names.

            EXAMPLES
              steward config sample > /etc/steward/volume-worker.conf
              steward config sample --program scheduler-worker --format yaml
            """#
    )

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case ini, yaml, json
    }

    @OptionGroup var worker: WorkerOptions
    @Option(help: "How the file is written.") var format = Format.ini

    func run() throws {
        try self.worker.run(["--config-sample", self.format.rawValue])
    }
}

struct ConfigCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Say all that is wrong with configuration files, each with its line.",
        discussion: #"""
            Files are read as the worker does it: a later one goes before an earlier one,
            and the environment before both. Options that are not known are errors in JSON
            and YAML, and warnings in oslo's files.

            EXAMPLES
              steward config check /etc/cinder/cinder.conf
              steward config check --program scheduler-worker base.yaml \
                  --config-dir /etc/steward/conf.d

            EXIT CODES
              0  the worker would start with it     1  it would not
              2  wrong usage
            """#
    )

    @OptionGroup var worker: WorkerOptions
    @Argument(help: ArgumentHelp("The files.", valueName: "file")) var files: [String] = []
    @Option(help: ArgumentHelp("A directory whose files are read after the others.", valueName: "path"))
    var configDir: [String] = []

    func validate() throws {
        guard self.files.isEmpty, self.configDir.isEmpty else { return }
        throw ValidationError("there is nothing to be checked: name a file, or a directory with --config-dir")
    }

    func run() throws {
        try self.worker.run(
            self.files.flatMap { ["--config-file", $0] } + self.configDir.flatMap { ["--config-dir", $0] }
                + ["--config-check"]
        )
    }
}
