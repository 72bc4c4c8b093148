# The cut of the repository: see scripts/test for `check`.
# shellcheck shell=bash

compose_file_is_valid() { docker-compose -f compose.yaml config -q </dev/null; }

check "imports run only downwards, C stays in one target, no file is too long" python3 scripts/checks/layers.py
check "every section of the wire contract has tests that name it" python3 scripts/checks/contract.py
check "every fault has tests that name it, and a row in the guide" python3 scripts/checks/faults.py
check "compose.yaml is valid" compose_file_is_valid
