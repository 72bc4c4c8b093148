extension ServiceOption where Value == Secret {
    /// `database_connection`: where services are recorded: `sqlite:///path` or `postgresql://user:password@host/database`;
    /// empty, the default, for what the program chooses.
    ///
    /// A running program keeps to what it has.
    public static var databaseConnection: Self {
        Self(
            "database_connection",
            default: Secret("", masked: ""),
            help: "where services are recorded: sqlite:///path or postgresql://user:password@host/database"
        )
    }
}

extension ServiceOption where Value == String {
    /// `storage_availability_zone`: where the host stands; `nova` by default, as in cinder.
    public static var availabilityZone: Self {
        Self("storage_availability_zone", default: "nova", help: "the availability zone of this host") {
            $0.isEmpty ? "must not be empty" : nil
        }
    }
}
