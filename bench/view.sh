#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# view.sh: measures what the pictures of `tat view` cost without the server, for 1,000 tokens of SmolLM2 and for 100 million access
# records that are made from 100 tokens. Prints medians and the worst of several windows. A few minutes; nothing else should run
# meanwhile.
. "$(dirname "$0")/../scripts/common.sh"

build=${BUILD:-$root/build}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
tat=$build/src/cli/tat
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile PROGRAM: with all of analysis, which libtat.a exports only in part.
compile() {
    local -a archives
    mapfile -t archives < <(find "$build/src" -name 'libtat_*.a' ! -name '*agent*' ! -name '*manage*' ! -name '*serve*' ! -name '*cli*')
    cc -O2 -D_GNU_SOURCE -I"$root/include" -I"$root/src" "$root/bench/$1.c" -o "$work/$1" \
        -Wl,--start-group "${archives[@]}" -Wl,--end-group -ljansson -luring -lpthread -lm
}

# recorded MODEL TOKENS: the folder of a trace.
recorded() {
    local folder=$work/${1%%.*}-$2
    "$tat" record -o "$folder" -- "$bin/llama-completion" -m "$models/$1" -n "$2" -c 2048 --temp 0 -no-cnv --ignore-eos \
        -p "The three laws of robotics are" < /dev/null > /dev/null 2>&1
    echo "$folder"
}

compile grow_trace
compile view
for model in SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-8x2.gguf; do
    printf '%s, 1,000 tokens\n' "$model"
    "$work/view" "$(recorded "$model" 1000)"
    mkdir "$work/grown"
    "$work/grow_trace" "$(recorded "$model" 100)" "$work/grown/tensor_access.bin" 100
    "$work/view" "$work/grown"
    rm -r "$work/grown"
done
