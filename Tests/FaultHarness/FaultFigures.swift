import Foundation
import Synchronization

/// What the tests measured, for the table of the guide: printed, and added to the file that `STEWARD_FAULT_FIGURES` names.
package enum FaultFigures {
    private static let file = Mutex(())

    /// Notes a duration.
    package static func record(fault: Int, _ what: String, _ duration: Duration) {
        self.record(fault: fault, what, seconds: duration / .seconds(1))
    }

    /// Notes a number that is no duration, as a count.
    package static func record(fault: Int, _ what: String, count: Int) {
        self.write(fault, what, "count", "\(count)")
    }

    /// Notes seconds.
    package static func record(fault: Int, _ what: String, seconds: Double) {
        self.write(fault, what, "seconds", String(format: "%.3f", seconds))
    }

    private static func write(_ fault: Int, _ what: String, _ unit: String, _ value: String) {
        print("fault \(fault): \(what): \(value) \(unit)")
        guard let path = ProcessInfo.processInfo.environment["STEWARD_FAULT_FIGURES"] else { return }
        let line = "{\"fault\":\(fault),\"who\":\"Steward\",\"what\":\"\(what)\",\"\(unit)\":\(value)}\n"
        self.file.withLock { _ in
            guard let file = fopen(path, "a") else {
                print("the figure was not noted: \(path) cannot be written")
                return
            }
            fputs(line, file)
            fclose(file)
        }
    }
}
