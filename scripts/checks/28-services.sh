# The registry of services with real programs: a scheduler and two workers in one PostgreSQL; see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

# services STATUS EXPRESSION ARGUMENT...: run `steward services`; its exit code must be STATUS, and the Python EXPRESSION
# over its line of output, `value`, must be true.
services() {
    local wanted=$1 expression=$2 output status=0
    shift 2
    output=$(timeout --foreground 60 "$bin/steward" services "$@" --output json) || status=$?
    printf '%s -> %s, exit code %s\n' "${*//:*@/:***@}" "$output" "$status"
    [[ $status == "$wanted" ]] || fail "the exit code should be $wanted"
    [[ $(json "bool($expression)" <<<"$output") == true ]] || fail "the output should satisfy: $expression"
}

start_recorded() {
    start_service "$1" "$2" "topic=\"$3\"" "scheduler_topic=\"$topic-scheduler\"" 'report_interval=1' \
        "database_connection=\"$STEWARD_POSTGRESQL_URL\"" "${@:4}"
    await_ready "$spawned" "$2"
}

# schedule ID: have a volume made, by whichever host the scheduler takes; the host is in `taken_by`, or why not.
schedule() {
    taken_by=$(steward call --topic "$topic-scheduler" --version 3.0 create_volume \
        "{\"volume_id\": \"$1\", \"size\": 1}" |
        json 'value["result"]["host"] if "result" in value else value["error"]["message"]')
}

schedules_to() { schedule "again-$RANDOM-$RANDOM" && [[ $taken_by == "$1" ]]; }
serves() {
    steward call --topic "$topic" --server "$1" --version 3.0 create_volume '{"volume_id": "served", "size": 1}'
}
state_is() {
    [[ $(timeout --foreground 60 "$bin/steward" services list "${database[@]}" --watch 4 --down-time 3 --output json |
        json 'next(entry["state"] for entry in value["result"] if entry["host"] == host)' host="$1") == "$2" ]]
}

lists_and_changes_services() {
    local topic=services-$$-$RANDOM number taken_by dead
    local database=(--database "$STEWARD_POSTGRESQL_URL" --topic "$topic") broker=(--url "$AMQP_URL" --topic "$topic")
    start_recorded scheduler-worker scheduler-1 "$topic-scheduler" "volume_topic=\"$topic\"" 'service_down_time=3'
    # node-a would always be taken: it has more space.
    start_recorded volume-worker node-a "$topic" 'max_capacity_gb=100'
    dead=$spawned
    start_recorded volume-worker node-b "$topic" 'max_capacity_gb=50'
    services 0 '[(entry["host"], entry["state"], entry["disabled"], entry["binary"]) for entry in value["result"]]
        == [("node-a", "up", False, "volume-worker"), ("node-b", "up", False, "volume-worker")]' list "${database[@]}"
    services 0 '[entry["host"] for entry in value["result"]] == ["node-a", "node-b"]' list "${broker[@]}"
    await 10 schedules_to node-a || fail "node-a gets no volumes: $taken_by"

    services 0 'value["result"]["disabled"] and value["result"]["recorded"]' \
        disable node-a --reason "new disks" "${broker[@]}"
    for number in 1 2 3; do
        schedule "disabled-$number"
        [[ $taken_by == node-b ]] || fail "a volume went to $taken_by right after node-a was disabled"
    done
    services 0 '[(entry["disabled"], entry["disabled_reason"]) for entry in value["result"]]
        == [(True, "new disks"), (False, None)]' list "${database[@]}"
    serves node-a >/dev/null || fail "a disabled host refuses what reaches it"

    services 0 'value["result"]["disabled"] is False' enable node-a "${database[@]}"
    await 10 schedules_to node-a || fail "node-a gets no volumes after it was enabled: $taken_by"

    services 0 'value["result"]["frozen"]' freeze node-a "${broker[@]}"
    ! serves node-a >"$temporary_directory/refusal" || fail "a frozen host makes a volume"
    grep -q ServiceUnavailable "$temporary_directory/refusal" || fail "a frozen host does not say that it is"
    services 0 'value["result"]["frozen"] is False' thaw node-a "${database[@]}"
    await 10 serves node-a || fail "a host that was thawed makes no volume"

    kill -KILL "$dead"
    wait "$dead" 2>/dev/null || true
    forget "$dead"
    state_is node-a down || fail "a killed host is not down"
    state_is node-b up || fail "a host that lives is not up"
    for number in 1 2 3; do
        schedule "down-$number"
        [[ $taken_by == node-b ]] || fail "a volume went to $taken_by while node-a was down"
    done
    services 0 'value["result"]["removed"]' remove node-a "${database[@]}"
    services 4 'value["error"]["message"]' enable node-a "${database[@]}"
    services 4 'value["error"]["message"]' enable nobody "${broker[@]}"
    services 5 '"hush" not in str(value) and value["error"]["message"]' list --database postgresql://u:hush@127.0.0.1:1/d
}

check "services are listed, disabled, frozen and found dead in PostgreSQL" lists_and_changes_services
