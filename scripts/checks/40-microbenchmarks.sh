# What single operations cost: see scripts/test for `check`.
# shellcheck shell=bash

check "no operation takes more instructions or allocations than the baseline" scripts/bench.d/micro
