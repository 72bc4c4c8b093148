import Glibc

/// How the addresses of a host's name are found.
struct HostResolver: Sendable {
    /// The addresses of a name, as text, in the order in which they are to be tried.
    ///
    /// It may block, and heeds no limit of ours.
    let addresses: @Sendable (_ name: String) -> Result<[String], PostgreSQLError>

    /// The system's.
    static let system = HostResolver { name in
        Self.find(name, flags: 0)
    }

    /// The name that is to be looked up before libpq is asked to connect, because libpq would wait for the resolver.
    ///
    /// - Parameter host: What libpq is told for one host.
    /// - Returns: The name; `nil` where there is nothing to look up: for addresses and for sockets of this machine.
    static func name(in host: [String: String]) -> String? {
        guard host["hostaddr"] ?? "" == "", let name = host["host"], let first = name.first else { return nil }
        // As libpq tells them apart: paths, and names in the abstract namespace.
        guard first != "/", first != "@" else { return nil }
        if case .success = self.find(name, flags: AI_NUMERICHOST) { return nil }
        return name
    }

    private static func find(_ name: String, flags: Int32) -> Result<[String], PostgreSQLError> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = flags
        var found: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(name, nil, &hints, &found)
        guard status == 0 else {
            let reason = unsafe gai_strerror(status).map { unsafe String(cString: $0) } ?? "error \(status)"
            return .failure(PostgreSQLError(.unavailable, "no address of host '\(name)' is found: \(reason)"))
        }
        defer { unsafe freeaddrinfo(found) }
        var addresses: [String] = []
        var next = unsafe found
        while let entry = unsafe next?.pointee {
            unsafe next = entry.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(text.count)
            guard unsafe getnameinfo(entry.ai_addr, entry.ai_addrlen, &text, size, nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            if !addresses.contains(address) { addresses.append(address) }
        }
        return .success(addresses)
    }
}
