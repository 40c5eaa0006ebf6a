#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test.sh [--long]: sets up what tests need, builds, runs them all, then the quick ones again under sanitizers. The last line is
# "N passed, N failed", counted in single tests. CMAKE_FLAGS are given to CMake, BUILD names the build folder.
. "$(dirname "$0")/common.sh"

build=${BUILD:-$root/build}
read -r -a flags <<< "${CMAKE_FLAGS:-}"
passed=0
failed=0

# Single tests are the lines of TAP and of cmocka; an entry without any is one test.
count_log() {
    awk '
        /^[0-9]+\/[0-9]+ Testing: / { good = bad = 0 }
        /^ok [0-9]+/ || /^\[ +OK \]/ { good++ }
        /^not ok [0-9]+/ || /^\[  FAILED  \] [^0-9]*$/ { bad++ }
        /^Test Passed\.$/ { passed += good + bad ? good : 1 }
        /^Test Failed\.$/ || /^Test timeout/ { passed += good; failed += bad ? bad : 1 }
        END { print passed + 0, failed + 0 }' "$1"
}

# run_tests FOLDER [CTEST-OPTION...]
run_tests() {
    local folder=$1 good bad status=0
    shift
    rm -f "$folder/Testing/Temporary/LastTest.log"
    ctest --test-dir "$folder" --output-on-failure --no-tests=error "$@" || status=$?
    read -r good bad < <(count_log "$folder/Testing/Temporary/LastTest.log")
    [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + good))
    failed=$((failed + bad))
}

sanitized() {
    "$root/scripts/build.sh" "$build-$1" -DTAT_TESTS=ON -DTAT_SANITIZE="$2" -DCMAKE_BUILD_TYPE=Debug "${flags[@]}"
    run_tests "$build-$1" -L "$3"
}

"$root/scripts/install-deps.sh" test
llama=$("$root/scripts/get-llama.sh")
model=$("$root/scripts/get-model.sh")
"$root/scripts/build.sh" "$build" -DTAT_TESTS=ON -DTAT_TEST_LLAMA="$llama" -DTAT_TEST_MODEL="$model" "${flags[@]}"
if [ "${1:-}" = --long ]; then run_tests "$build"; else run_tests "$build" -LE long; fi
sanitized asan address,undefined 'unit|cli'
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
