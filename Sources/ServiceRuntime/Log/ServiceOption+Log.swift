internal import Logging

extension ServiceOption where Value == String {
    /// `log_format`: `text`, the default, a line for people, or `json`, an object for programs.
    ///
    /// Either way a message is one line, whatever it holds.
    public static var logFormat: Self {
        Self("log_format", default: "text", choices: ["text", "json"], help: "how messages are logged")
    }
}

extension ServiceConfiguration {
    /// What writes the messages of a label, in the format that is configured.
    func logHandler(
        _ label: String,
        to output: LogOutput,
        metadataProvider: Logger.MetadataProvider?
    ) -> any LogHandler {
        // Choices are compared without regard to case.
        if self[.logFormat].lowercased() == "json" {
            return JSONLogHandler(label: label, output: output, metadataProvider: metadataProvider)
        }
        let stream = TextLogStream(output: output)
        return StreamLogHandler(label: label, stream: stream, metadataProvider: metadataProvider)
    }
}
