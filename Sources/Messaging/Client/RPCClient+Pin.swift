extension RPCClient {
    /// Makes a request; one that a pin objects to is made again after the pin has asked the hosts.
    func request(_ make: () throws(RPCError) -> Request) async throws -> Request {
        guard let pin = self.options.versionPin else { return try make() }
        await pin.learnFirst()
        do {
            return try make()
        } catch {
            guard error.code == .versionCapExceeded, await pin.refreshIfOld() else { throw error }
            try Task.checkCancellation()
            return try make()
        }
    }

    /// Makes a request and calls with it, a second time where the pin was not up to date.
    func pinnedCall(timeout: Duration, _ make: () throws(RPCError) -> Request) async throws -> RawJSON {
        guard let pin = self.options.versionPin else { return try await self.call(try make(), timeout: timeout) }
        let clock = self.transport.clock
        let deadline = clock.now + timeout
        let request = try await self.request(make)
        do {
            return try await self.call(request, timeout: deadline - clock.now)
        } catch let error as RPCError where error.code == .unsupportedVersion {
            // Refused before anything was run: an old host has come, and the pin has not seen it. Its answer may be that
            // this cannot be asked for, or another host is asked by the same request.
            await pin.tryToRefresh()
            try Task.checkCancellation()
            do {
                return try await self.call(try make(), timeout: deadline - clock.now)
            } catch let error as RPCError where error.code == .unsupportedVersion {
                throw RPCError(
                    .versionCapExceeded,
                    "a host of \(self.target) does not offer the version of \(request.method) yet",
                    failure: error.failure,
                    cause: error
                )
            }
        }
    }
}
