internal import AMQPClient

/// Does the same with several things at the same time, so that the broker is waited for once and not for each.
///
/// - Returns: What came of each, in the order of the things, when all have ended.
func together<Thing: Sendable, Value: Sendable>(
    _ things: some Sequence<Thing>,
    _ body: @escaping @Sendable (Thing) async throws(AMQPError) -> Value
) async -> [Result<Value, AMQPError>] {
    await withTaskGroup(of: (Int, Result<Value, AMQPError>).self) { group in
        for (index, thing) in things.enumerated() {
            group.addTask {
                do throws(AMQPError) {
                    return (index, .success(try await body(thing)))
                } catch {
                    return (index, .failure(error))
                }
            }
        }
        return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
}

extension [Result<AMQPChannel, AMQPError>] {
    /// Those that are there.
    var values: [AMQPChannel] {
        self.compactMap { if case .success(let value) = $0 { value } else { nil } }
    }
}

extension Array {
    /// All of them, or the first error.
    func get<Value>() throws(AMQPError) -> [Value] where Element == Result<Value, AMQPError> {
        var values: [Value] = []
        for result in self { values.append(try result.get()) }
        return values
    }
}
