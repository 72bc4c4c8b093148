public import ServiceRuntime

extension ServiceOption where Value == String {
    /// `state_path`: the directory of a worker's volumes and database; `/var/lib/steward` by default.
    public static var statePath: Self {
        Self("state_path", default: "/var/lib/steward", help: "the directory of the worker's volumes and database") {
            $0.isEmpty ? "must not be empty" : nil
        }.perBackend()
    }

    /// `volume_backend_name`: a name that schedulers may require; `directory` by default.
    public static var volumeBackendName: Self {
        Self("volume_backend_name", default: "directory", help: "the name of the backend and of its pool") {
            $0.isEmpty ? "must not be empty" : nil
        }.perBackend()
    }

    /// `volume_topic`: where a scheduler finds the volume workers; `cinder-volume` by default.
    public static var volumeTopic: Self {
        Self("volume_topic", default: VolumeRPC.defaultTopic, help: "the volume workers' topic") {
            $0.isEmpty ? "must not be empty" : nil
        }
    }
}

extension ServiceOption where Value == Double {
    /// `max_capacity_gb`: the most that all volumes of a worker may have together; 0, the default, for the file system's.
    public static var maximumCapacity: Self {
        Self(
            "max_capacity_gb",
            default: 0,
            // Below 2^33 GiB: the 8 EiB that a file system can count.
            in: 0...8_589_934_591,
            help: "the most GiB for all volumes; 0 for all of the file system"
        ).mutable().perBackend()
    }
}

extension ServiceOption where Value == Int {
    /// `reserved_percentage`: how much of the capacity is kept back; nothing by default.
    public static var reservedPercentage: Self {
        Self(
            "reserved_percentage",
            default: 0,
            in: 0...100,
            help: "how much of the capacity is kept back, in per cent"
        ).mutable().perBackend()
    }
}

extension ServiceOption where Value == Duration {
    /// `start_timeout`: how long a start waits for a broker that cannot be reached; 30 s by default, 0 for as long as it
    /// takes.
    public static var startTimeout: Self {
        Self(
            "start_timeout",
            default: .seconds(30),
            in: .zero...,
            help: "how long a start waits for the broker; 0 for as long as it takes"
        )
    }

    /// `service_down_time`: after how long without a report a host gets no more volumes; 60 s by default.
    public static var serviceDownTime: Self {
        Self(
            "service_down_time",
            default: .seconds(60),
            in: .milliseconds(1)...,
            help: "after how long without a report a host gets no more volumes"
        ).mutable()
    }

    /// `driver_time_limit`: how long a call of the driver may take before it fails; 60 s by default.
    public static var driverTimeLimit: Self {
        Self(
            "driver_time_limit",
            default: .seconds(60),
            in: .milliseconds(1)...,
            help: "how long a call of the driver may take"
        ).perBackend()
    }
}

/// What the programs of this package say of themselves.
public enum Software {
    /// The version of the software: what `service_version` answers.
    public static let version = "0.1.0"
}

extension ServiceConfiguration {
    /// The standard options and those of a program, with the topic that it serves unless told otherwise.
    static func options(
        topic: String,
        _ options: [any ServiceOptionDeclaration]
    ) -> [any ServiceOptionDeclaration] {
        let standard = standardOptions.map { option -> any ServiceOptionDeclaration in
            guard option.name == ServiceOption<String>.topic.name else { return option }
            return ServiceOption<String>(option.name, default: topic, help: option.help) {
                $0.isEmpty ? "must not be empty" : nil
            }
        }
        return standard + options
    }
}
