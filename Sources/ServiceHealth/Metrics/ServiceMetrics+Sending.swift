internal import Messaging

extension ServiceMetrics {
    /// What the connections to the broker have done.
    static func addConnections(_ figures: TransportFigures, to text: inout PrometheusText) {
        typealias Connection = TransportFigures.Connection
        text.family("steward_broker_connection_state", .gauge, "1 for the state that a connection is in, else 0.")
        for connection in figures.connections {
            for state in TransportFigures.State.all {
                text.sample(
                    "steward_broker_connection_state",
                    [("connection", connection.name), ("state", "\(state)")],
                    state == connection.state ? 1 : 0
                )
            }
        }
        let counters: [(name: String, help: String, value: KeyPath<Connection, Int>)] = [
            ("connects", "How often a connection was made.", \.connects),
            ("reconnects", "How often it was made anew.", \.reconnects),
            ("connect_failures", "Rounds over the broker's addresses that found none.", \.failedConnects),
            ("published", "Messages that were written.", \.published),
            ("confirms", "Messages that the broker confirmed.", \.confirmed),
            ("nacks", "Messages that the broker refused.", \.refused),
            ("returns", "Messages that no queue took.", \.returned),
            ("deliveries", "Messages that arrived.", \.delivered),
            ("redeliveries", "Those of them that had been handed out before.", \.redelivered),
            ("blocks", "How often the broker stopped the connection's messages.", \.blocks),
        ]
        for counter in counters {
            let name = "steward_broker_\(counter.name)_total"
            text.family(name, .counter, counter.help)
            for connection in figures.connections {
                text.sample(name, [("connection", connection.name)], connection[keyPath: counter.value])
            }
        }
    }

    /// What was sent to other services.
    static func addClients(_ figures: RPCClientFigures, to text: inout PrometheusText) {
        let methods = figures.methods.map { method in
            let labels: [PrometheusText.Label] = [
                ("topic", method.topic), ("namespace", method.namespace ?? ""),
                ("method", method.name.isEmpty ? "other" : method.name),
            ]
            return (labels, method)
        }
        text.family("steward_client_calls_total", .counter, "Calls that have ended, by how they ended.")
        for (labels, method) in methods {
            for (outcome, count) in method.calls {
                text.sample("steward_client_calls_total", labels + [("outcome", outcome)], count)
            }
        }
        text.family("steward_client_calls_running", .gauge, "Calls that wait for their result.")
        for (labels, method) in methods { text.sample("steward_client_calls_running", labels, method.running) }
        text.family("steward_client_call_seconds", .histogram, "How long calls took, whatever their end.")
        for (labels, method) in methods { text.histogram("steward_client_call_seconds", labels, method.duration) }
        text.family("steward_client_sends_total", .counter, "Requests without a reply, and gatherings.")
        for (labels, method) in methods {
            for (way, outcome, count) in method.sent {
                text.sample("steward_client_sends_total", labels + [("way", way), ("outcome", outcome)], count)
            }
        }
        text.family("steward_client_unreadable_results_total", .counter, "Results that do not fit the contract.")
        for (labels, method) in methods where method.unreadableResults > 0 {
            text.sample("steward_client_unreadable_results_total", labels, method.unreadableResults)
        }
        text.family("steward_client_late_replies_total", .counter, "Replies to calls that had ended before.")
        text.sample("steward_client_late_replies_total", [], figures.lateReplies)
        text.family("steward_client_casts_unwritten", .gauge, "Casts without a confirm that are not written yet.")
        text.sample("steward_client_casts_unwritten", [], figures.unwrittenCasts)
    }
}
