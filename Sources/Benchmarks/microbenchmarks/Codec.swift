import Messaging

/// Messages to bytes and back, and the values in them.
let codecBenchmarks = messages("280", records: 2, 400) + messages("16k", records: 120, 30)

private func messages(_ size: String, records: Int, _ iterations: Int) -> [Microbenchmark] {
    [
        requestEncoding(size, records, iterations), requestDecoding(size, records, iterations),
        replyEncoding(size, records, iterations), replyDecoding(size, records, iterations),
        valueEncoding(size, records, iterations), valueDecoding(size, records, iterations),
    ]
}

private func requestEncoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "request-encode-\(size)", iterations: iterations) {
        let request = try Sample.request(records)
        return { use(request.encoded()) }
    }
}

private func requestDecoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "request-decode-\(size)", iterations: iterations) {
        let body = try Sample.request(records).encoded()
        return { use(try RequestPayload(decoding: body, contentType: Sample.contentType)) }
    }
}

private func replyEncoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "reply-encode-\(size)", iterations: iterations) {
        let reply = try Sample.reply(records)
        return { use(reply.encoded(messageID: Sample.messageID, uniqueID: Sample.uniqueID)) }
    }
}

private func replyDecoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "reply-decode-\(size)", iterations: iterations) {
        let body = try Sample.reply(records).encoded(messageID: Sample.messageID, uniqueID: Sample.uniqueID)
        return { use(try ReplyPayload(decoding: body, contentType: Sample.contentType)) }
    }
}

/// A typed handler's result, written straight into its reply.
private func valueEncoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "typed-encode-\(size)", iterations: iterations) {
        let value = Record.list(records)
        return {
            use(try ReplyPayload.encoded(result: value, messageID: Sample.messageID, uniqueID: Sample.uniqueID))
        }
    }
}

/// A typed handler's arguments.
private func valueDecoding(_ size: String, _ records: Int, _ iterations: Int) -> Microbenchmark {
    Microbenchmark(name: "typed-decode-\(size)", iterations: iterations) {
        let request = try Sample.request(records)
        return { use(try request.args.decode(Arguments.self)) }
    }
}
