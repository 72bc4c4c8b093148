# Shared by the scripts beside it: source it, do not run it.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files
#
# Sets `root` (the repository), and gives messages, timed steps, JSON reading, and processes that are
# ended by their id on every way out.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly root
readonly peer_environment=$root/.build-peer
readonly peer_python=$peer_environment/bin/python

say() { printf '%s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Milliseconds since the epoch.
now() { printf '%s\n' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }

# seconds_since START: the time from START (see `now`) as "12.3 s".
seconds_since() {
    local elapsed=$(($(now) - $1))
    printf '%d.%d s\n' "$((elapsed / 1000))" "$((elapsed % 1000 / 100))"
}

# step TITLE COMMAND...: run a step, say what it is and how long it took; a failure ends the script.
step_title=""
step() {
    local started
    step_title=$1
    shift
    started=$(now)
    say "==> $step_title"
    "$@"
    say "    done in $(seconds_since "$started")"
    step_title=""
}

# --- processes and files that must not outlive the script ---------------------------------------------------------

started_processes=()
cleanup_commands=()
temporary_directory=""

# at_exit COMMAND: run COMMAND (a function or a string for `eval`) on the way out, last one first, when the processes have
# ended; `exit_status` is then set.
at_exit() { cleanup_commands=("$1" "${cleanup_commands[@]}"); }

# The script's own directory for temporary files, removed on the way out.
make_temporary_directory() {
    temporary_directory=$(mktemp -d "${TMPDIR:-/tmp}/steward.XXXXXX")
    temporary_directory=$(cd "$temporary_directory" && pwd -P)
}

# spawn LOG COMMAND...: start a process in the background, its output in LOG, its id in `spawned`.
spawn() {
    local log=$1
    shift
    "$@" </dev/null >>"$log" 2>&1 &
    spawned=$!
    started_processes+=("$spawned")
}

# The processes that we start are our children and stay ours until `wait` was called for them, so their ids cannot
# pass to others in between.
is_running() { [[ -d /proc/$1 && $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) != Z ]]; }

# await SECONDS COMMAND...: repeat COMMAND, silently, until it succeeds; false when it did not in time.
await() {
    local deadline=$(($(now) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        (($(now) < deadline)) || return 1
        sleep 0.05
    done
}

has_ended() { ! is_running "$1"; }

# forget PID: no longer to be ended on the way out.
forget() {
    local process kept=()
    for process in "${started_processes[@]}"; do
        [[ $process == "$1" ]] || kept+=("$process")
    done
    started_processes=("${kept[@]}")
}

# end_process PID [SIGNAL] [SECONDS]: send SIGNAL, wait, and take the exit code into `ended_with`; by force, and false,
# when it did not end in time.
end_process() {
    local process=$1 signal=${2:-TERM} limit=${3:-15} in_time=true
    kill "-$signal" "$process" 2>/dev/null || true
    if ! await "$limit" has_ended "$process"; then
        in_time=false
        kill -KILL "$process" 2>/dev/null || true
    fi
    ended_with=0
    wait "$process" 2>/dev/null || ended_with=$?
    forget "$process"
    $in_time
}

# run_bounded SECONDS COMMAND...: run a program with children of its own (a build, a test run) in a session, which is
# ended as a whole when the time is over or the script ends; children may have process groups of their own.
run_bounded() {
    local limit=$1 status=0
    shift
    setsid "$@" </dev/null &
    bounded_session=$!
    if ! await "$limit" has_ended "$bounded_session"; then
        printf 'error: not done within %s s: %s\n' "$limit" "$*" >&2
        end_bounded_session
        return 124
    fi
    wait "$bounded_session" || status=$?
    end_bounded_session
    return "$status"
}

bounded_session=""
# The processes of the session that have not ended yet.
session_members() {
    local file line state session
    for file in /proc/[0-9]*/stat; do
        # A process may end between being listed and being read.
        read -r line 2>/dev/null <"$file" || continue
        # The name, in parentheses, may hold anything; after it: state, parent, group, session.
        read -r state _ _ session _ <<<"${line##*) }"
        if [[ $session == "$bounded_session" && $state != Z ]]; then
            file=${file#/proc/}
            printf '%s\n' "${file%/stat}"
        fi
    done
}
session_is_empty() { [[ -z $(session_members) ]]; }
signal_session() {
    local process
    for process in $(session_members); do
        kill "-$1" "$process" 2>/dev/null || true
    done
}
end_bounded_session() {
    [[ -n $bounded_session ]] || return 0
    wait_for_session TERM 10 || wait_for_session KILL 5 || true
    wait "$bounded_session" 2>/dev/null || true
    bounded_session=""
}
wait_for_session() {
    session_is_empty || signal_session "$1"
    await "$2" session_is_empty
}

clean_up() {
    local status=$? process command
    exit_status=$status
    trap - EXIT
    trap '' INT TERM HUP
    set +e
    ((status == 0)) || [[ -z $step_title ]] || printf 'error: failed at: %s\n' "$step_title" >&2
    end_bounded_session
    for process in "${started_processes[@]}"; do
        kill -TERM "$process" 2>/dev/null
    done
    for process in "${started_processes[@]}"; do
        end_process "$process" TERM 10
    done
    for command in "${cleanup_commands[@]}"; do
        eval "$command"
    done
    [[ -z $temporary_directory ]] || rm -rf "$temporary_directory"
    exit "$status"
}
set_traps() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}
set_traps

# isolated LOG COMMAND...: run a function in a subshell that ends its own processes and has its own temporary
# directory; its output in LOG. False when it failed.
isolated() {
    local status=0
    spawn "$1" isolated_body "${@:2}"
    wait "$spawned" || status=$?
    forget "$spawned"
    return "$status"
}

isolated_body() {
    set -e
    started_processes=() cleanup_commands=() bounded_session="" step_title="" temporary_directory=""
    set_traps
    make_temporary_directory
    "$@"
}

# --- the broker ----------------------------------------------------------------------------------------------------

# use_broker [OPTION...]: AMQP_URL as it is, or a private node with these options, ended on the way out.
use_broker() {
    local exports
    if [[ -n ${AMQP_URL:-} ]]; then
        say "    using the broker of AMQP_URL"
        return
    fi
    exports=$("$root/scripts/rabbitmq" start "$@")
    eval "$exports"
    # shellcheck disable=SC2016 # expanded when it runs
    at_exit '"$root/scripts/rabbitmq" stop "$STEWARD_RABBITMQ_DIR"'
    say "    a private node in $STEWARD_RABBITMQ_DIR"
}

# use_postgresql: STEWARD_POSTGRESQL_URL as it is, or a private server, ended on the way out.
use_postgresql() {
    local exports
    if [[ -n ${STEWARD_POSTGRESQL_URL:-} ]]; then
        say "    using the server of STEWARD_POSTGRESQL_URL"
        return
    fi
    exports=$("$root/scripts/postgresql" start)
    eval "$exports"
    # shellcheck disable=SC2016 # expanded when it runs
    at_exit '"$root/scripts/postgresql" stop "$STEWARD_POSTGRESQL_DIR"'
    say "    a private server in $STEWARD_POSTGRESQL_DIR"
}

# --- JSON ----------------------------------------------------------------------------------------------------------

# json EXPRESSION [NAME=TEXT…] <TEXT: evaluate a Python expression over `value`, the JSON text on standard input; print
# text as it is and other values as JSON. Further arguments are strings that the expression sees by name.
json() {
    python3 -c '
import json, sys
names = dict(argument.split("=", 1) for argument in sys.argv[2:])
result = eval(sys.argv[1], dict(names, value=json.load(sys.stdin)))
print(result if isinstance(result, str) else json.dumps(result))
' "$@"
}
