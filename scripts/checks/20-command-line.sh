# The command line against a real Python server: see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

# expect STATUS EXPRESSION ARGUMENT...: run steward; its exit code must be STATUS, and the Python EXPRESSION over its
# one line of output, `value`, must be true.
expect() {
    local wanted=$1 expression=$2 output status=0
    shift 2
    output=$(steward "$@") || status=$?
    printf '%s -> %s, exit code %s\n' "$*" "$output" "$status"
    [[ $status == "$wanted" ]] || fail "the exit code should be $wanted"
    [[ $(wc -l <<<"$output") == 1 ]] || fail "the output should be one line"
    [[ $(json "bool($expression)" <<<"$output") == true ]] || fail "the output should satisfy: $expression"
}

error_is() { printf 'value["error"]["kind"] == "%s" and value["error"]["message"]' "$1"; }

# start_python TOPIC SERVER...: real oslo.messaging servers, ready.
start_python() {
    local topic=$1 server
    shift
    for server in "$@"; do
        start_peer "$server" server.py --topic "$topic" --server "$server"
    done
}

calls_python() {
    local topic=command-line-$$-$RANDOM
    start_python "$topic" one
    expect 0 'value == {"result": 3}' call --topic "$topic" add '{"a": 1, "b": 2}'
    expect 0 'value == {"result": "one"}' call --topic "$topic" --server one whoami
    expect 0 'value["result"] == 2**100' call --topic "$topic" big '{"exponent": 100}'
    expect 0 'value["result"] == ["alpha", "ü😀"]' \
        call --topic "$topic" --namespace alpha --version 2.1 echo '{"value": "ü😀"}'
    expect 0 'value["result"]["user"] == "someone"' call --topic "$topic" --context '{"user": "someone"}' context
    expect 0 'len(value["result"]) == 1 << 20' call --topic "$topic" blob '{"size": 1048576}'
    expect 0 'value["result"] is None' call --topic "$topic" nothing
    expect 0 'value["result"] == 2.5' call --topic "$topic" --timeout 10 --call-monitor-timeout 2 slow '{"seconds": 2.5}'
    printf '{"value": [1, 2.0]}' >"$temporary_directory/arguments"
    expect 0 'value["result"] == [1, 2.0]' call --topic "$topic" echo "@$temporary_directory/arguments"
    expect 0 'value["result"] == [1, 2.0]' call --topic "$topic" echo - <"$temporary_directory/arguments"
}

casts_to_python() {
    local topic=command-line-$$-$RANDOM
    start_python "$topic" one two
    expect 0 'value == {"sent": True}' cast --topic "$topic" --server one record '{"kind": "cast"}'
    expect 0 'value["result"] == [{"kind": "cast"}]' call --topic "$topic" --server one received '{"count": 1}'
    expect 0 'value == {"sent": True}' fanout --topic "$topic" record '{"kind": "fanout"}'
    expect 0 'value["result"] == [{"kind": "cast"}, {"kind": "fanout"}]' \
        call --topic "$topic" --server one received '{"count": 2}'
    expect 0 'value["result"] == [{"kind": "fanout"}]' call --topic "$topic" --server two received '{"count": 1}'
}

tells_what_failed() {
    local topic=command-line-$$-$RANDOM started
    start_python "$topic" one
    expect 1 "$(error_is remote) and value['error']['class'] == 'ValueError' and value['error']['module'] == 'builtins'" \
        call --topic "$topic" fail '{"kind": "unicode"}'
    expect 1 "$(error_is remote) and value['error']['class'] == 'NoSuchMethod'" call --topic "$topic" no_such_method
    expect 1 "$(error_is remote) and value['error']['class'] == 'UnsupportedVersion'" \
        call --topic "$topic" --version 9.0 whoami
    expect 3 "$(error_is timeout)" call --topic "$topic" --timeout 0.5 slow '{"seconds": 2}'
    started=$(now)
    expect 4 "$(error_is undeliverable) and 'nobody' in value['error']['message']" \
        call --topic "$topic" --server nobody --timeout 30 whoami
    (($(now) - started < 1000)) || fail "a call to nobody took $(seconds_since "$started")"
}

tells_usage_and_broker_apart() {
    local status=0
    timeout 60 "$bin/steward" call --url "$AMQP_URL" whoami >/dev/null || status=$?
    [[ $status == 2 ]] || fail "a missing topic should give exit code 2, not $status"
    status=0
    timeout 60 "$bin/steward" call --url "$AMQP_URL" --topic t whoami '[1]' >/dev/null || status=$?
    [[ $status == 2 ]] || fail "arguments that are no object should give exit code 2, not $status"
    "$bin/steward" --help | grep -q call
    status=0
    # A port of loopback that nobody listens on.
    AMQP_URL=amqp://guest:guest@127.0.0.1:1/ expect 5 "$(error_is other)" call --topic t --timeout 3 whoami
}

check "the command line calls a Python server" calls_python
check "the command line casts to Python servers" casts_to_python
check "the command line tells what failed" tells_what_failed
check "the command line tells usage and an absent broker apart" tells_usage_and_broker_apart
