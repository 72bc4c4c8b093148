import Glibc

/// Feeds what libFuzzer thinks up to one of the readers of foreign bytes.
///
/// The environment variable `STEWARD_FUZZ_TARGET` names it; the arguments are libFuzzer's own.
enum Fuzz {
    /// The readers by their names.
    ///
    /// Each takes any bytes: it reads or refuses them. What it has read it writes and reads again, and traps where the two
    /// differ.
    static let targets: [String: @Sendable ([UInt8]) -> Void] = [
        "request": MessageTargets.request,
        "reply": MessageTargets.reply,
        "failure": MessageTargets.failure,
        "letter": MessageTargets.letter,
        "json": ValueTargets.json,
        "typed": ValueTargets.typed,
        "control": ValueTargets.control,
        "frames": FrameTarget.run,
        "compression": CompressionTarget.run,
        "url": TextTargets.url,
        "text": TextTargets.text,
        "database": TextTargets.database,
        "trace": TextTargets.trace,
        "http": TextTargets.http,
        "configuration": ConfigurationTarget.json,
        "ini": ConfigurationTarget.ini,
        "yaml": ConfigurationTarget.yaml,
    ]

    static let target: @Sendable ([UInt8]) -> Void = {
        let name = getenv("STEWARD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = targets[name] else {
            print("STEWARD_FUZZ_TARGET has to be one of: \(targets.keys.sorted().joined(separator: " "))")
            exit(2)
        }
        return target
    }()
}

/// What libFuzzer's own main function calls for each input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    Fuzz.target(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
}

/// Traps, which libFuzzer takes for a finding, unless a claim holds.
func claim(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fatalError(what()) }
}
