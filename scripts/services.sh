# Shared by scripts/quickstart and the checks: the services as processes, and calls by the command line.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files
#
# Needs lib.sh, the directory of the executables in `bin`, AMQP_URL, and a temporary directory.

# The services' logs tell why, when something was not as it must be.
show_logs() {
    local log
    ((exit_status != 0)) || return 0
    for log in "$temporary_directory"/*.log; do
        [[ ! -s $log ]] || printf -- '--- the end of the log of %s\n%s\n' "$(basename "$log" .log)" "$(tail -n 15 "$log")" >&2
    done
}

# start_service PROGRAM HOST [KEY=JSON…]: start `volume-worker` or `scheduler-worker` with a configuration file; the
# log is in $temporary_directory/HOST.log, the process id in `spawned`.
start_service() {
    local program=$1 host=$2
    shift 2
    mkdir -p "$temporary_directory/$host"
    python3 -c '
import json, sys
path, host, url, state = sys.argv[1:5]
configuration = {"host": host, "transport_url": url, "state_path": state, "log_level": "info"}
configuration.update((key, json.loads(value)) for key, value in (pair.split("=", 1) for pair in sys.argv[5:]))
with open(path, "w") as file:
    json.dump(configuration, file, indent=2)
' "$temporary_directory/$host.json" "$host" "$AMQP_URL" "$temporary_directory/$host" "$@"
    : >"$temporary_directory/$host.log"
    [[ " ${cleanup_commands[*]-} " == *" show_logs "* ]] || at_exit show_logs
    spawn "$temporary_directory/$host.log" "$bin/$program" --host "$host" \
        --config-file "$temporary_directory/$host.json"
}

# The service says so when its consumers are confirmed.
says_ready() { grep -v 'not ready' "$temporary_directory/$1.log" | grep -qw ready; }
ready_or_ended() { says_ready "$2" || has_ended "$1"; }

# await_ready PID HOST: wait for the log line that says so.
await_ready() {
    await 30 ready_or_ended "$1" "$2" || true
    says_ready "$2" || fail "$2 did not become ready"
}

# steward ARGUMENT...: the command line, bounded, with the broker's address and JSON output.
steward() {
    local operation=$1
    shift
    timeout --foreground 60 "$bin/steward" "$operation" --url "$AMQP_URL" --output json "$@"
}

# start_peer NAME PROGRAM ARGUMENT...: one of the Python peer programs, ready; its output is in
# $temporary_directory/NAME.peer. It ends with its standard input: with `tail`, and that with this shell.
start_peer() {
    local name=$1 program=$2
    shift 2
    # shellcheck disable=SC2016 # expanded by the bash started here
    spawn "$temporary_directory/$name.peer" bash -c 'exec "${@:2}" < <(exec tail --pid="$1" -f /dev/null)' \
        peer "$BASHPID" "$peer_python" "$root/Tests/InteropTests/Peer/$program" --url "$AMQP_URL" "$@"
    await 30 grep -qx READY "$temporary_directory/$name.peer" || {
        cat "$temporary_directory/$name.peer" >&2
        fail "the Python peer $name did not become ready"
    }
}
