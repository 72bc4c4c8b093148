# A worker that is killed loses nothing that it had not started: see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

readonly casts=40

start_worker() {
    start_service volume-worker node-a "topic=\"$topic\"" "scheduler_topic=\"$topic-scheduler\""
    worker=$spawned
    await_ready "$worker" node-a
}

# cast_volumes PREFIX: as many casts as there are to be, sent one after the other.
cast_volumes() {
    local number
    for ((number = 1; number <= casts; number++)); do
        steward cast --topic "$topic" --server node-a --version 3.0 create_volume \
            "{\"volume_id\": \"$1-$number\", \"size\": 1}" >/dev/null
    done
}

kill_worker() {
    kill -KILL "$worker"
    wait "$worker" 2>/dev/null || true
    forget "$worker"
}

files() { find "$temporary_directory/node-a/volumes" -name "volume-$1-*" 2>/dev/null | wc -l; }
has_file() { (($(files "$1") > 0)); }

# known PREFIX [STATUS]: how many volumes with this prefix the worker knows, of all or in one status.
known() {
    steward call --topic "$topic" --server node-a --version 3.0 list_volumes | json '
sum(volume["id"].startswith(prefix) and volume["status"] in (wanted or volume["status"]) for volume in value["result"])
' prefix="$1-" wanted="${2:-}"
}
all_executed() { (($(known "$1" available) + $(known "$1" error) == casts)); }

# Every cast was executed, and what the worker calls available is on disk.
await_all() {
    local available room
    # Volumes are promised their whole size; on a small disk some are refused, which is an execution too.
    room=$(df --output=avail -B1G "$temporary_directory" | tail -n 1)
    await 30 all_executed "$1" || fail "$(known "$1") of $casts volumes are known to the worker"
    available=$(known "$1" available)
    echo "$available of $casts volumes are available"
    [[ $available == "$(files "$1")" ]] || fail "$(files "$1") volumes are on disk"
    ((available == casts || room < casts + 5)) || fail "there is room for all of them"
}

keeps_what_was_not_started() {
    topic=killed-$$-$RANDOM
    start_worker
    # Stopped, it starts nothing: all are queued, in the broker or in its socket, when it is killed.
    kill -STOP "$worker"
    cast_volumes queued
    kill_worker
    [[ $(files queued) == 0 ]] || fail "the stopped worker made volumes"
    start_worker
    await_all queued
    end_process "$worker" || fail "the worker did not stop in time"
    [[ $ended_with == 0 ]] || fail "the worker ended with $ended_with"
}

finishes_what_was_started() {
    topic=killed-$$-$RANDOM
    start_worker
    kill -STOP "$worker"
    cast_volumes busy
    kill -CONT "$worker"
    await 30 has_file busy || fail "the worker made no volume"
    kill_worker
    echo "$(files busy) of $casts were made before the worker was killed"
    start_worker
    await_all busy
}

check "a killed worker's $casts queued casts are executed after its restart" keeps_what_was_not_started
check "a worker killed while it works makes every volume after its restart" finishes_what_was_started
