#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test.sh [--long]: sets up what the tests need, builds, runs them all, then the quick ones again under sanitizers. The last
# line is "N passed, N failed, N skipped", counted in single tests; the lines above it name the skipped tests and the reasons.
# With CI=true, a skipped test counts as failed unless it needs something that the machine may lack. CMAKE_FLAGS go to CMake;
# BUILD names the build folder.
. "$(dirname "$0")/common.sh"

build=${BUILD:-$root/build}
read -r -a flags <<< "${CMAKE_FLAGS:-}"
passed=0
failed=0
skipped=()

# Reasons to skip a test that are the machine's. All others are ours: what else tests need is set up below.
may_lack='root|cgroups|can be mounted|tmpfs|sparse files|a sanitizer takes|this processor lacks|io_uring|max_map_count|Linux 6.12'

# Single tests are the lines of TAP and of cmocka; an entry without any is one test. The first line is the counts, each other
# one a test that was skipped: its name, a tab, the reason.
count_log() {
    awk '
        function skip(name, why) { skips = skips "\n" name "\t" (why ? why : "no reason given"); left_out++; started = 0 }
        /^[0-9]+\/[0-9]+ Testing: / { good = bad = left_out = 0 }
        /^\[ RUN / { started = 1; why = "" }
        started && /^# / { why = substr($0, 3) }
        started && /^\[  SKIPPED \]/ { skip($NF, why) }
        /^ok [0-9]+ .*# skip/ {
            why = name = $0
            sub(/^ok [0-9]+ /, "", name); sub(/ *# skip.*/, "", name); sub(/.*# skip */, "", why)
            skip(name, why)
            next
        }
        /^ok [0-9]+/ || /^\[ +OK \]/ { good++; started = 0 }
        /^not ok [0-9]+/ || /^\[  FAILED  \] [^0-9]*$/ { bad++; started = 0 }
        /^Test Passed\.$/ { passed += good + bad + left_out ? good : 1 }
        /^Test Failed\.$/ || /^Test timeout/ { passed += good; failed += bad ? bad : 1 }
        END { print passed + 0, failed + 0 skips }' "$1"
}

# count_tests FOLDER COMMAND...: runs a command that runs ctest in FOLDER.
count_tests() {
    local log=$1/Testing/Temporary/LastTest.log good=0 bad=0 status=0 lines=("0 0")
    rm -f "$log"
    "${@:2}" || status=$?
    [ ! -e "$log" ] || mapfile -t lines < <(count_log "$log")
    read -r good bad <<< "${lines[0]}"
    [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + good))
    failed=$((failed + bad))
    skipped+=("${lines[@]:1}")
}

# run_tests FOLDER [CTEST-OPTION...]: side by side, but for those whose CMakeLists.txt says that they are alone.
run_tests() { count_tests "$1" ctest --test-dir "$1" -j "$(nproc)" --output-on-failure --no-tests=error "${@:2}"; }

sanitized() {
    "$root/scripts/build.sh" "$build-$1" -DTAT_TESTS=ON -DTAT_SANITIZE="$2" -DCMAKE_BUILD_TYPE=RelWithDebInfo "${flags[@]}"
    run_tests "$build-$1" -L "$3"
}

say_skipped() {
    local one name reason
    for one in "${skipped[@]}"; do
        IFS=$'\t' read -r name reason <<< "$one"
        if [ "${CI:-}" = true ] && ! [[ $reason =~ $may_lack ]]; then
            say "skipped, which counts as failed in CI: $name ($reason)"
            failed=$((failed + 1))
        else
            say "skipped: $name ($reason)"
        fi
    done
}

# fuzzed SECONDS: the fuzz targets, which begin with all that they once found.
fuzzed() {
    local answers planned good
    answers=$("$root/scripts/fuzz.sh" "$1" "$build-fuzz") || true
    echo "$answers"
    planned=$(sed -n 's/^1\.\.//p' <<< "$answers")
    good=$(grep -c '^ok' <<< "$answers" || true)
    passed=$((passed + good))
    failed=$((failed + ${planned:-1} - good))
}

# fetched: what is mostly waiting for others, while llama.cpp is compiled.
fetched() {
    "$root/scripts/get-wheels.sh" > /dev/null &
    "$root/scripts/get-fixtures.sh" > /dev/null
    "$root/scripts/get-python.sh" test > /dev/null
    "$root/scripts/get-page-tools.sh" > /dev/null
    wait $!
}

"$root/scripts/install-deps.sh" test
fetched &
fetching=$!
llama=$("$root/scripts/get-llama.sh" 0.3.36 llama-{completion,bench,eval-callback,simple,server,speculative-simple})
"$root/scripts/build-blas-ggml.sh" > /dev/null
# Trees of ours that are made anew take from the cache what was compiled before.
export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
"$root/scripts/build.sh" "$build" -DTAT_TESTS=ON -DTAT_LLAMA_CPP="${llama%/build/bin}" -DTAT_MODELS="$cache/models" "${flags[@]}"
env -u CMAKE_C_COMPILER_LAUNCHER "$root/scripts/build-static-llama.sh" "$build" > /dev/null # uses ccache in its own way
wait $fetching
if [ "${1:-}" = --long ]; then run_tests "$build"; else run_tests "$build" -LE long; fi
sanitized asan address,undefined 'unit|cli|sanitize'
if [ "${1:-}" = --long ]; then
    fuzzed 600
    count_tests "$build-aarch64" "$root/scripts/test-aarch64.sh" "$build-aarch64"
else
    fuzzed 30
fi
say_skipped
echo "$passed passed, $failed failed, ${#skipped[@]} skipped"
[ "$failed" -eq 0 ]
