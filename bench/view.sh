#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# view.sh: measures what `tat view` costs, through its server and in chromium, and writes it to bench/VIEW.md: 1,000 tokens of
# SmolLM2, and 100 million access records that are made from 100 tokens. A few minutes; nothing else should run meanwhile. ROUNDS is
# how often each trace is opened.
. "$(dirname "$0")/../scripts/common.sh"

build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
tools=$("$root/scripts/get-page-tools.sh")
PATH=$("$root/scripts/get-node.sh"):$PATH
tat=$build/src/cli/tat
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc -O2 -D_GNU_SOURCE -I"$root/include" -I"$root/src" "$root/bench/grow_trace.c" -o "$work/grow_trace" "$build/library/libtat.a" \
    "$build/src/format/libtat_format.a" -ljansson -lpthread -lm

# recorded MODEL TOKENS: the folder of a trace.
recorded() {
    local folder=$work/${1%%.*}-$2
    "$tat" record -o "$folder" -- "$bin/llama-completion" -m "$models/$1" -n "$2" -c 2048 --temp 0 -no-cnv --ignore-eos \
        -p "The three laws of robotics are" < /dev/null > /dev/null 2>&1
    echo "$folder"
}

# grown MODEL: a trace of 100 million records.
grown() {
    local folder=$work/${1%%.*}-grown
    mkdir "$folder"
    "$work/grow_trace" "$(recorded "$1" 100)" "$folder/tensor_access.bin" 100 > /dev/null
    "$tat" report --section run "$folder" > /dev/null # writes what stands beside it
    echo "$folder"
}

measure() {
    local dense=SmolLM2-135M-Instruct.Q4_1.gguf experts=SmolLM2-8x2.gguf
    printf '# What tat view costs\n\n'
    echo "\`bench/view.sh\`, $(date -u +%Y-%m-%d): $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) CPUs," \
        "Linux $(uname -r); commit $(git -C "$root" rev-parse --short HEAD). Medians, in brackets the least and the most; opened" \
        "${ROUNDS:-5} times. Server and browser share the processors. Traces of 100 million records repeat the graphs of a real run of" \
        "100 tokens (\`bench/grow_trace.c\`)."
    node "$root/bench/view.mjs" "$tat" "$tools" "${ROUNDS:-5}" "Dense=$(recorded $dense 1000)" "8 experts=$(recorded $experts 1000)" \
        "Dense, long=$(grown $dense)" "8 experts, long=$(grown $experts)"
}

measure > "$work/page"
mv "$work/page" "$root/bench/VIEW.md"
cat "$root/bench/VIEW.md"
