internal import ArgumentParser
internal import Messaging

/// The command line's root: it holds the three ways to send a request, and the questions about workers.
struct StewardCommand: ParsableCommand {
    static let version = LibraryVersion.current

    // ArgumentParser's own --version is not used: it would answer to the --version of a request, too.
    static let configuration = CommandConfiguration(
        commandName: "steward",
        abstract: "Call the methods of services on a message broker, Swift's or Python's (oslo.messaging).",
        usage: """
            steward call|cast|fanout --url URL --topic TOPIC [OPTIONS] METHOD [ARGUMENTS]
            steward hosts|ping|info|stats --url URL --topic TOPIC [OPTIONS]
            steward log-level --url URL TOPIC [HOST] [LEVEL] [--prefix LABEL]
            steward dead-letters list|show|replay|drop --url URL --topic TOPIC [OPTIONS]
            steward config sample|check [OPTIONS] [FILE ...]
            steward services list|enable|disable|freeze|thaw|remove [--database URL] [OPTIONS] [HOST]
            """,
        discussion: #"""
            EXAMPLES
              Ask any host of a service, and one:
                steward call --url rabbit://guest:guest@127.0.0.1/ \
                    --topic cinder-volume --version 3.0 get_capabilities
                steward call --topic cinder-volume --server node-1 --version 3.0 \
                    --timeout 2.5 get_volume '{"volume_id": "7"}'

              Send without waiting for a result, to one host and to all:
                steward cast --topic cinder-volume --server node-1 --version 3.0 \
                    delete_volume @arguments.json
                steward fanout --topic cinder-volume --version 3.0 \
                    publish_service_capabilities

              Let a script read the answer; arguments from standard input:
                echo '{"value": 1}' | steward call --topic T --output json echo -

              Find a service's workers, and ask one how it is:
                steward hosts --topic cinder-volume
                steward ping --topic cinder-volume --server node-1
                steward stats --topic cinder-volume --server node-1

              See more of what one of them does, while it runs:
                steward log-level cinder-volume node-1 debug --prefix AMQPClient

              Look at requests that were given up, and send them back:
                steward dead-letters list --topic cinder-volume
                steward dead-letters replay --topic cinder-volume --all --dry-run

              See what a worker's configuration may say, and whether a file is right:
                steward config sample --program volume-worker --format yaml
                steward config check /etc/cinder/cinder.conf

            THE BROKER
              rabbit://, amqp:// or amqps://, several hosts between commas. In the
              environment, as STEWARD_URL or else AMQP_URL, it is not seen by other
              users of the machine; --url goes first.

            EXIT CODES
              0  done                             1  the server answered: failure
              2  wrong usage                      3  no reply in time
              4  nobody serves the topic, or there is no such server
              5  broker not reachable, and all else

            'steward --version' prints the version.
            """#,
        subcommands: [
            Call.self, Cast.self, Fanout.self, Hosts.self, Ping.self, Info.self, Stats.self, LogLevel.self,
            DeadLetters.self, Services.self, Config.self,
        ]
    )
}

struct Call: RequestCommand {
    static let configuration = CommandConfiguration(
        abstract: "Call a method and print its result.",
        discussion: #"""
            EXAMPLES
              steward call --topic cinder-volume --server node-1 --version 3.0 \
                  get_capabilities
              steward call --topic cinder-scheduler --version 3.0 --output json \
                  get_pools '{"filters": {}}'
              steward call --topic T --timeout 600 --call-monitor-timeout 4 \
                  rebuild @arguments.json
            """#
    )
    @OptionGroup var options: RequestOptions
    var kind: Request.Kind { .call }
}

struct Cast: RequestCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a request and do not wait for a result.",
        discussion: #"""
            Ends as soon as the broker has put the request into a queue; what the method
            does with it is not heard of.

            EXAMPLES
              steward cast --topic cinder-volume --server node-1 --version 3.0 \
                  delete_volume '{"volume_id": "7"}'
            """#
    )
    @OptionGroup var options: RequestOptions
    var kind: Request.Kind { .cast }
}

struct Fanout: RequestCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a request to every server of a topic.",
        discussion: #"""
            Ends as soon as the broker has taken the request. That there is no server is
            not an error.

            EXAMPLES
              steward fanout --topic cinder-volume --version 3.0 \
                  publish_service_capabilities
            """#
    )
    @OptionGroup var options: RequestOptions
    var kind: Request.Kind { .fanout }
}
