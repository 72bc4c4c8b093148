# A worker that is killed loses nothing that it had not started: see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

bin=$STEWARD_BIN
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
has_files() { (($(files "$1") >= $2)); }

# All volumes are on disk and known to the worker.
all_there() {
    local listed
    await 30 has_files "$1" "$casts" || fail "$(files "$1") of $casts volumes are on disk"
    listed=$(steward call --topic "$topic" --server node-a --version 3.0 list_volumes | json "$listed_volumes" prefix="$1-")
    [[ $listed == "$casts" ]] || fail "$listed of $casts volumes are known to the worker"
}

# The number of volumes with the prefix in an answer to list_volumes.
readonly listed_volumes='sum(1 for volume in (
    value["result"]["volumes"] if isinstance(value["result"], dict) else value["result"]
) if (volume.get("volume_id") or volume.get("id")).startswith(prefix))'

keeps_what_was_not_started() {
    topic=killed-$$-$RANDOM
    start_worker
    # Stopped, it starts nothing: all are queued, in the broker or in its socket, when it is killed.
    kill -STOP "$worker"
    cast_volumes queued
    kill_worker
    [[ $(files queued) == 0 ]] || fail "the stopped worker made volumes"
    start_worker
    all_there queued
    end_process "$worker" || fail "the worker did not stop in time"
    [[ $ended_with == 0 ]] || fail "the worker ended with $ended_with"
}

finishes_what_was_started() {
    topic=killed-$$-$RANDOM
    start_worker
    kill -STOP "$worker"
    cast_volumes busy
    kill -CONT "$worker"
    await 30 has_files busy 1 || fail "the worker made no volume"
    kill_worker
    echo "$(files busy) of $casts were made before the worker was killed"
    start_worker
    all_there busy
}

check "a killed worker's $casts queued casts are executed after its restart" keeps_what_was_not_started
check "a worker killed while it works makes every volume after its restart" finishes_what_was_started
