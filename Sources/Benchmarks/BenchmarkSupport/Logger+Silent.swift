public import Logging

extension Logger {
    /// Writes warnings and errors to standard error, and nothing else: the output belongs to the figures.
    public static var silent: Logger {
        var logger = Logger(label: "bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        return logger
    }
}
