internal import ServiceRuntime

/// The present time of this host in UTC, as Python's services write it.
func wireTimestamp() -> String {
    WireTimestamp.text(WireTimestamp.now)
}
