// swift-tools-version: 6.2

import PackageDescription

// One list for every target, so that no module is compiled under looser rules than its neighbours.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .treatAllWarnings(as: .error),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let tracing: Target.Dependency = .product(name: "Tracing", package: "swift-distributed-tracing")
let inMemoryTracing: Target.Dependency = .product(name: "InMemoryTracing", package: "swift-distributed-tracing")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "steward",
    products: [
        .library(name: "AMQPClient", targets: ["AMQPClient"]),
        .library(name: "Messaging", targets: ["Messaging"]),
        .library(name: "MessagingRabbitMQ", targets: ["MessagingRabbitMQ"]),
        .library(name: "MessagingTesting", targets: ["MessagingTesting"]),
        .library(name: "ServiceRuntime", targets: ["ServiceRuntime"]),
        .library(name: "ConfigurationYAML", targets: ["ConfigurationYAML"]),
        .library(name: "ServiceDatabase", targets: ["ServiceDatabase"]),
        .library(name: "VolumeService", targets: ["VolumeService"]),
        .executable(name: "volume-worker", targets: ["volume-worker"]),
        .executable(name: "scheduler-worker", targets: ["scheduler-worker"]),
        .executable(name: "steward", targets: ["steward"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        // Without its trait JSON, which brings in all of Foundation: the runtime reads its file with its own codec.
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CRabbitMQ",
            pkgConfig: "librabbitmq",
            providers: [.apt(["librabbitmq-dev"])]
        ),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CBzip2", providers: [.apt(["libbz2-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "PostgreSQL",
            dependencies: ["CPostgres"],
            swiftSettings: settings + [.strictMemorySafety()]
        ),
        .testTarget(
            name: "PostgreSQLTests",
            dependencies: ["FaultHarness", "PostgreSQL", "TestSupport"],
            swiftSettings: settings
        ),
        .target(
            name: "Compression",
            dependencies: ["CZlib", "CBzip2"],
            swiftSettings: settings + [.strictMemorySafety()]
        ),
        .testTarget(name: "CompressionTests", dependencies: ["Compression"], swiftSettings: settings),
        .target(
            name: "AMQPClient",
            dependencies: ["CRabbitMQ", logging],
            swiftSettings: settings + [.strictMemorySafety()]
        ),
        .testTarget(
            name: "AMQPClientTests",
            dependencies: [
                "AMQPClient", "FaultHarness", "TestSupport", logging,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .target(name: "Messaging", dependencies: [logging, tracing], swiftSettings: settings),
        .testTarget(
            name: "MessagingTests",
            dependencies: [
                "Messaging", "MessagingTesting", "TracingSupport", logging, inMemoryTracing, tracing,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: settings
        ),
        .target(
            name: "MessagingRabbitMQ",
            dependencies: ["AMQPClient", "Compression", "Messaging", logging],
            swiftSettings: settings
        ),
        .testTarget(
            name: "MessagingRabbitMQTests",
            dependencies: [
                "MessagingRabbitMQ", "AMQPClient", "Compression", "Messaging", "MessagingTesting", "TestSupport",
                "TracingSupport", logging, inMemoryTracing, tracing,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: settings
        ),
        .target(
            name: "TracingSupport",
            dependencies: [tracing, inMemoryTracing],
            path: "Tests/TracingSupport",
            swiftSettings: settings
        ),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        // What hurts a connection, a broker or a process, and counts what becomes of the messages.
        .target(
            name: "FaultHarness",
            dependencies: ["AMQPClient", "Messaging", "MessagingRabbitMQ", "TestSupport", logging],
            path: "Tests/FaultHarness",
            swiftSettings: settings
        ),
        .testTarget(
            name: "FaultTests",
            dependencies: [
                "AMQPClient", "DeliveryWorker", "FaultHarness", "FaultWorker", "Messaging", "MessagingRabbitMQ",
                "MessagingTesting", "ServiceDatabase", "ServiceRuntime", "TestSupport", "VolumeService", logging, grdb,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        // What operators do with whole programs.
        .testTarget(
            name: "OperationTests",
            dependencies: [
                "FaultHarness", "Messaging", "MessagingRabbitMQ", "ServiceRuntime", "TestSupport", "VolumeService",
                "FaultWorker", "volume-worker", "scheduler-worker", "steward",
            ],
            swiftSettings: settings
        ),
        // What takes minutes: clusters, partitions, storms and the soak; run by scripts/faults.
        .testTarget(
            name: "LongFaultTests",
            dependencies: [
                "AMQPClient", "FaultHarness", "FaultWorker", "Messaging", "MessagingRabbitMQ", "MessagingTesting",
                "ServiceDatabase", "ServiceRuntime", "TestSupport", logging, grdb,
            ],
            swiftSettings: settings
        ),
        .target(name: "MessagingTesting", dependencies: ["Messaging"], swiftSettings: settings),
        .target(
            name: "ServiceRuntime",
            dependencies: [
                "Messaging", logging, tracing,
                .product(name: "Configuration", package: "swift-configuration"),
                lifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ServiceRuntimeTests",
            dependencies: [
                "ConfigurationYAML", "Messaging", "MessagingTesting", "ServiceRuntime", "TracingSupport", logging,
                inMemoryTracing, tracing,
                .product(name: "InMemoryLogging", package: "swift-log"),
                lifecycle,
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        // Beside the runtime, as the reader of YAML brings in Foundation.
        .target(
            name: "ConfigurationYAML",
            dependencies: ["Messaging", "ServiceRuntime", .product(name: "Yams", package: "Yams")],
            swiftSettings: settings
        ),
        .target(
            name: "ServiceDatabase",
            dependencies: ["Messaging", "PostgreSQL", "ServiceRuntime", grdb],
            swiftSettings: settings
        ),
        // What an operator's probes ask over HTTP, and what systemd is told.
        .target(
            name: "ServiceHealth",
            dependencies: ["Messaging", "ServiceRuntime", logging, lifecycle, metrics],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ServiceHealthTests",
            dependencies: [
                "FaultHarness", "FaultWorker", "Messaging", "MessagingRabbitMQ", "MessagingTesting", "ServiceHealth",
                "ServiceRuntime", "TestSupport", logging, metrics,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ServiceDatabaseTests",
            dependencies: [
                "Messaging", "MessagingTesting", "PostgreSQL", "ServiceDatabase", "ServiceRuntime", "TestSupport",
                logging, grdb,
                .product(name: "InMemoryLogging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "VolumeService",
            dependencies: ["Messaging", "ServiceRuntime", "ServiceDatabase", logging, lifecycle, grdb],
            swiftSettings: settings
        ),
        .testTarget(
            name: "VolumeServiceTests",
            dependencies: ["Messaging", "ServiceRuntime", "ServiceDatabase", "VolumeService", logging, grdb],
            swiftSettings: settings
        ),
        .target(
            name: "WorkerCommand",
            dependencies: [
                "ConfigurationYAML", "Messaging", "MessagingRabbitMQ", "ServiceHealth", "ServiceRuntime",
                "VolumeService",
                logging, lifecycle, argumentParser, metrics,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "WorkerCommandTests",
            dependencies: [
                "AMQPClient", "ConfigurationYAML", "Messaging", "MessagingRabbitMQ", "ServiceRuntime", "VolumeService",
                "WorkerCommand", logging,
            ],
            resources: [.copy("Fixtures")],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "volume-worker",
            dependencies: ["ServiceRuntime", "VolumeService", "WorkerCommand", lifecycle, argumentParser],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "scheduler-worker",
            dependencies: ["ServiceRuntime", "VolumeService", "WorkerCommand", lifecycle, argumentParser],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "steward",
            dependencies: [
                "AMQPClient", "Messaging", "MessagingRabbitMQ", "ServiceDatabase", "ServiceRuntime", logging,
                argumentParser,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "stewardTests",
            dependencies: ["steward", "Messaging", "MessagingRabbitMQ", "ServiceRuntime", argumentParser],
            swiftSettings: settings
        ),
        .testTarget(
            name: "InteropTests",
            dependencies: [
                "DeliveryWorker", "Messaging", "MessagingRabbitMQ", "MessagingTesting", "ServiceRuntime", "steward",
                "TracingSupport", grdb, inMemoryTracing, tracing,
            ],
            exclude: ["Peer"],
            swiftSettings: settings
        ),
        // Killed by tests, to see what becomes of its work.
        .executableTarget(
            name: "DeliveryWorker",
            dependencies: ["Messaging", "MessagingRabbitMQ", "ServiceDatabase", logging, grdb],
            path: "Tests/DeliveryWorker",
            swiftSettings: settings
        ),
        // A whole program that fault tests hurt: with launcher, signals and exit code.
        .executableTarget(
            name: "FaultWorker",
            dependencies: [
                "Messaging", "MessagingRabbitMQ", "ServiceDatabase", "ServiceHealth", "ServiceRuntime", logging, grdb,
            ],
            path: "Tests/FaultWorker",
            swiftSettings: settings
        ),
        .target(
            name: "BenchmarkSupport",
            dependencies: ["Messaging", "MessagingRabbitMQ", logging],
            path: "Sources/Benchmarks/BenchmarkSupport",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bench-worker",
            dependencies: ["BenchmarkSupport", "Messaging", "MessagingRabbitMQ", argumentParser],
            path: "Sources/Benchmarks/bench-worker",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bench-load",
            dependencies: ["BenchmarkSupport", "Messaging", "MessagingRabbitMQ", argumentParser],
            path: "Sources/Benchmarks/bench-load",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "microbenchmarks",
            dependencies: ["Messaging", "ServiceRuntime"],
            path: "Sources/Benchmarks/microbenchmarks",
            swiftSettings: settings
        ),
        // Far above a day's work; in processes of their own.
        .testTarget(
            name: "ScaleTests",
            dependencies: [
                "bench-worker", "Messaging", "MessagingRabbitMQ", "MessagingTesting", "TestSupport", logging,
            ],
            swiftSettings: settings
        ),
    ]
)

// Readers of foreign bytes under libFuzzer; scripts/faults.d/fuzz builds it, with the sanitizer that it needs.
if Context.environment["STEWARD_FUZZ"] != nil {
    package.targets += [
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "AMQPClient", "Compression", "ConfigurationYAML", "Messaging", "MessagingRabbitMQ", "PostgreSQL",
                "ServiceHealth", "ServiceRuntime",
            ],
            path: "Tests/Fuzzing",
            swiftSettings: settings
        )
    ]
}

// Under a sanitizer everything is built once more: STEWARD_TARGETS names, separated by spaces, what is wanted, and the
// rest is left out.
if let wanted = Context.environment["STEWARD_TARGETS"] {
    var pending = wanted.split(separator: " ").map(String.init)
    var kept: Set<String> = []
    while let name = pending.popLast() {
        guard let target = package.targets.first(where: { $0.name == name }), kept.insert(name).inserted else {
            continue
        }
        for dependency in target.dependencies {
            if case .byNameItem(let name, _) = dependency { pending.append(name) }
        }
    }
    package.targets.removeAll { !kept.contains($0.name) }
    package.products = []
}
