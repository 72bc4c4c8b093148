# The worker as a program among Python services: see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

# python_client COMMAND...: run commands, JSON texts, by a real oslo.messaging client; print one answer per line.
python_client() {
    printf '%s\n' "${@//$'\n'/ }" | timeout --foreground 120 "$peer_python" Tests/InteropTests/Peer/client.py --url "$AMQP_URL" |
        grep -vx READY
}

# answer_must NUMBER EXPRESSION: line NUMBER of $temporary_directory/answers, `value`, must satisfy EXPRESSION.
answer_must() {
    local line
    line=$(sed -n "$1p" "$temporary_directory/answers")
    printf '%s: %s\n' "$1" "$line"
    [[ $(json "bool($2)" <<<"$line") == true ]] || fail "answer $1 should satisfy: $2"
}

python_calls_the_worker() {
    local topic=python-$$-$RANDOM host
    local common="\"topic\": \"$topic\", \"version\": \"3.0\", \"timeout\": 20"
    for host in node-a node-b; do
        start_service volume-worker "$host" "topic=\"$topic\"" "scheduler_topic=\"$topic-scheduler\""
        await_ready "$spawned" "$host"
    done
    python_client \
        "{\"op\": \"call\", $common, \"server\": \"node-a\", \"method\": \"create_volume\",
          \"args\": {\"volume_id\": \"vol-1\", \"size\": 1, \"name\": \"größe 😀\"}}" \
        "{\"op\": \"call\", $common, \"server\": \"node-a\", \"method\": \"get_volume\", \"args\": {\"volume_id\": \"vol-1\"}}" \
        "{\"op\": \"call\", $common, \"server\": \"node-b\", \"method\": \"get_volume\", \"args\": {\"volume_id\": \"vol-1\"}}" \
        "{\"op\": \"call\", $common, \"method\": \"get_capabilities\", \"args\": {\"discover\": true}}" \
        "{\"op\": \"call\", $common, \"server\": \"node-a\", \"method\": \"no_such_method\"}" \
        "{\"op\": \"call\", \"topic\": \"$topic\", \"version\": \"9.0\", \"timeout\": 20, \"method\": \"list_volumes\"}" \
        "{\"op\": \"call\", $common, \"server\": \"node-a\", \"method\": \"create_volume\", \"args\": {\"size\": \"big\"}}" \
        "{\"op\": \"cast\", $common, \"server\": \"node-b\", \"method\": \"create_volume\",
          \"args\": {\"volume_id\": \"vol-2\", \"size\": 1}}" \
        "{\"op\": \"fanout\", $common, \"method\": \"publish_service_capabilities\"}" \
        >"$temporary_directory/answers"
    answer_must 1 'value["result"]["id"] == "vol-1" and value["result"]["host"] == "node-a"'
    answer_must 2 'value["result"]["name"] == "größe 😀" and value["result"]["status"] == "available"'
    answer_must 3 'value["exc_type"] == "VolumeNotFound"'
    answer_must 4 'value["result"]["total_capacity_gb"] > 0'
    answer_must 5 'value["exc_type"] == "NoSuchMethod"'
    answer_must 6 'value["exc_type"] == "UnsupportedVersion"'
    answer_must 7 '(value["exc_type"] or value["raised"]) not in (None, "MessagingTimeout")'
    answer_must 8 'value["result"] is None'
    answer_must 9 'value["result"] is None'
    await 15 test -f "$temporary_directory/node-b/volumes/volume-vol-2" || fail "the cast made no volume"
}

# What a Python scheduler prints of the capability casts, one JSON text per line.
reported_by() { grep -s update_service_capabilities "$temporary_directory/scheduler.peer" | grep -F "\"host\": \"$1\""; }

python_scheduler_takes_reports() {
    local topic=python-$$-$RANDOM report
    start_peer scheduler scheduler.py --topic "$topic-scheduler"
    start_service volume-worker node-a "topic=\"$topic\"" "scheduler_topic=\"$topic-scheduler\"" report_interval=1
    await_ready "$spawned" node-a
    await 20 reported_by node-a || fail "the Python scheduler received no report"
    report=$(reported_by node-a | head -n 1)
    echo "$report"
    [[ $(json 'bool(value["service_name"] == "volume" and value["capabilities"]["total_capacity_gb"] > 0)' \
        <<<"$report") == true ]] || fail "the report is not as cinder expects it"
    if grep refused "$temporary_directory/scheduler.peer"; then
        fail "the Python scheduler refused a report"
    fi
}

check "a Python client calls volume workers by topic, host and fanout" python_calls_the_worker
check "a Python scheduler takes the capability casts" python_scheduler_takes_reports
