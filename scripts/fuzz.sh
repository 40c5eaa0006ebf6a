#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh [SECONDS [FOLDER]]: runs all targets of tests/fuzz side by side for that long, in the build folder FOLDER. Keeps
# inputs that reach new code in $XDG_CACHE_HOME/tat/fuzz and starts from them the next time, and from all of tests/fuzz/corpus,
# however long that takes. Prints TAP. If a target finds something, the exit status is 1 and FOLDER/findings has the input.
. "$(dirname "$0")/common.sh"

seconds=${1:-30}
folder=$(realpath -m "${2:-$root/build-fuzz}")
targets=(fuzz_gguf fuzz_trace fuzz_answers fuzz_runs fuzz_export fuzz_io fuzz_sums fuzz_block_trace fuzz_request)
declare -A corpus=([fuzz_gguf]=gguf [fuzz_trace]=trace [fuzz_answers]=trace [fuzz_runs]=trace [fuzz_export]=trace [fuzz_io]=io [fuzz_sums]=sums [fuzz_block_trace]=blocktrace [fuzz_request]=request)
declare -A longest=([fuzz_gguf]=4096 [fuzz_trace]=20000 [fuzz_answers]=20000 [fuzz_runs]=20000 [fuzz_export]=20000 [fuzz_io]=20000 [fuzz_sums]=20000 [fuzz_block_trace]=20000 [fuzz_request]=4096)

build() {
    # Without the last sanitizer the fuzzer would not see which code it reaches.
    CC=clang quietly cmake -S "$root" -B "$folder" -G Ninja -DTAT_TESTS=ON -DTAT_FUZZ=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DTAT_SANITIZE=address,undefined,fuzzer-no-link
    quietly ninja -C "$folder" "${targets[@]}"
}

# fuzz TARGET: in the background, into FOLDER/findings.
fuzz() {
    mkdir -p "$cache/fuzz/$1"
    "$folder/tests/fuzz/$1" -max_total_time="$seconds" -max_len="${longest[$1]}" -rss_limit_mb=1024 -timeout=20 \
        -artifact_prefix="$folder/findings/$1-" "$cache/fuzz/$1" "$root/tests/fuzz/corpus/${corpus[$1]}" \
        > "$folder/findings/$1.log" 2>&1 9>&- &
    process[$1]=$!
}

# Whether it has run every input that it starts from.
has_started() { grep -q INITED "$folder/findings/$1.log"; }

# "12345 runs in 31 second(s)"
runs() { sed -n 's/^Done //p' "$folder/findings/$1.log"; }

one_at_a_time fuzz
build
rm -rf "$folder/findings"
mkdir -p "$folder/findings"
declare -A process
for target in "${targets[@]}"; do fuzz "$target"; done
echo "1..${#targets[@]}"
failed=0
for target in "${targets[@]}"; do
    if wait "${process[$target]}" && has_started "$target"; then
        echo "ok $target: $(runs "$target")"
    else
        failed=1
        echo "not ok $target: see $folder/findings"
        tail -40 "$folder/findings/$target.log" >&2
    fi
done
exit $failed
