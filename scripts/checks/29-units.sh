# The unit files of systemd, and the programs under what these forbid: see scripts/test for `check`.
# shellcheck shell=bash disable=SC2154,SC2034 # variables are shared between the files

readonly units=$root/scripts/systemd

# start_confined PROGRAM UNIT HOST ARGUMENT...: as the unit would, apart from users and directories; in `spawned`.
start_confined() {
    : >"$temporary_directory/$3.log"
    mkdir -p "$temporary_directory/state"
    spawn "$temporary_directory/$3.log" env STATE_DIRECTORY="$temporary_directory/state" STEWARD_TRANSPORT_URL="$AMQP_URL" \
        STEWARD_DATABASE_CONNECTION="$STEWARD_POSTGRESQL_URL" STEWARD_HEALTH_PORT=0 STEWARD_REPORT_INTERVAL=1 \
        python3 -B scripts/checks/unit.py exec "$units/$2" "$bin/$1" --host "$3" "${@:4}"
    [[ " ${cleanup_commands[*]-} " == *" show_logs "* ]] || at_exit show_logs
    await_ready "$spawned" "$3"
}

end_confined() {
    end_process "$1" || fail "$2 did not stop in time"
    [[ $ended_with == 0 ]] || fail "$2 ended with $ended_with"
}

serves_under_its_filter() {
    local topic=units-$$-$RANDOM scheduler worker
    start_confined scheduler-worker scheduler-worker.service scheduler \
        --option "topic=$topic-scheduler" --option "volume_topic=$topic"
    scheduler=$spawned
    start_confined volume-worker volume-worker@.service node-1 \
        --option "topic=$topic" --option "scheduler_topic=$topic-scheduler"
    worker=$spawned
    steward call --topic "$topic" --server node-1 --version 3.0 create_volume '{"volume_id": "confined", "size": 1}'
    steward call --topic "$topic" --server node-1 --version 3.0 delete_volume '{"volume_id": "confined"}'
    end_confined "$worker" node-1
    end_confined "$scheduler" scheduler
}

check "systemd reads volume-worker@.service" \
    python3 -B scripts/checks/unit.py verify "$units/volume-worker@.service" "$bin/volume-worker"
check "systemd reads scheduler-worker.service" \
    python3 -B scripts/checks/unit.py verify "$units/scheduler-worker.service" "$bin/scheduler-worker"
check "a scheduler and a worker serve under their units' filters of system calls" serves_under_its_filter
