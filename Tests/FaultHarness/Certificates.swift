import Foundation
import TestSupport

/// Certificates for `localhost`, made by the tests: `valid`, `expired`, of an authority `unknown` to the client, and for another
/// `name`; each is NAME.pem with NAME.key, and the client trusts `ca.pem`.
package enum Certificates {
    /// Makes them in a directory, with the authority `ca` that is there, or a new one.
    package static func make(in directory: String) async throws {
        let script = """
            set -e
            cd "$1"
            key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
            test -e ca.pem || openssl req -x509 $key -days 30 -subj /CN=Authority -keyout ca.key -out ca.pem
            openssl req -x509 $key -days 30 -subj /CN=Stranger -keyout stranger.key -out stranger.pem
            sign() {
                openssl req -new $key -subj "/CN=$4" -keyout "$1.key" -out "$1.csr"
                printf 'subjectAltName=DNS:%s\\n' "$4" > "$1.names"
                openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days "$3" \\
                    -extfile "$1.names" -out "$1.pem"
            }
            sign valid ca 30 localhost
            sign expired ca -1 localhost
            sign unknown stranger 30 localhost
            sign name ca 30 broker.example
            """
        try await PrivateNode.run("/bin/sh", ["-c", script, "sh", directory])
    }

    /// Lends a directory with them.
    package static func with<Result>(_ body: (_ directory: String) async throws -> Result) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "steward-certificates-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        // A leftover in the temporary directory does no harm.
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await self.make(in: directory)
        return try await body(directory)
    }
}
