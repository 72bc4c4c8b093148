# Shared by address-sanitizer and thread-sanitizer: source it, do not run it.
# shellcheck shell=bash disable=SC2154 # variables are shared between the files
#
# Needs lib.sh, and `scratch`, the folder of the build.

readonly sanitized_build_limit=1800 sanitized_tests_limit=600
# The sanitizer reports; Swift's own reporter would only keep a process waiting that is about to end.
export SWIFT_BACKTRACE=enable=no

# build_tests SANITIZER TARGET...: these test targets and what they need, in a build of their own. The sources see, for
# thread, the condition STEWARD_THREAD_SANITIZER.
build_tests() {
    local sanitizer=$1 status=0 log=$temporary_directory/build
    shift
    STEWARD_TARGETS="$*" run_bounded "$sanitized_build_limit" swift build --build-tests --sanitize="$sanitizer" \
        -Xswiftc "-DSTEWARD_${sanitizer^^}_SANITIZER" --scratch-path "$scratch" >"$log" 2>&1 || status=$?
    # The linker warns of each symbol of the sanitizers.
    ((status == 0)) || grep -av 'Cannot export local symbol' "$log" >&2
    return "$status"
}

# run_tests SUITES [NAME=VALUE...]: the tests of these suites (regular expressions, separated by spaces), with these
# variables in their environment alone. The test program is started itself, and not by `swift test`, whose own processes
# are no business of the sanitizer's.
run_tests() {
    local status=0 log=$temporary_directory/tests events=$temporary_directory/events wanted=$1 filter
    filter=${wanted// /|}
    shift
    export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-2}
    run_bounded "$sanitized_tests_limit" env "$@" "$scratch/debug/stewardPackageTests.xctest" \
        --testing-library swift-testing --filter "$filter" \
        --event-stream-version 0 --event-stream-output-path "$events" >"$log" 2>&1 || status=$?
    if ! python3 scripts/checks/test_events.py "$events" --partial --suites "$wanted"; then
        status=1
    fi
    if ((status != 0)) || grep -aq 'Sanitizer' "$log"; then
        # What failed, and what the sanitizer says, which stands where it was found or at the end.
        { grep -a '^✘' "$log" || true; } >&2
        if grep -aq 'Sanitizer' "$log"; then
            grep -a -v '^[◇✔]' "$log" | grep -a -B 2 -A 200 'Sanitizer' | head -n 400 >&2
        else
            grep -a -v '^[◇✔]' "$log" | tail -n 100 >&2
        fi
        return 1
    fi
}
