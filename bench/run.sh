#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh: measures what recording costs, on this machine, and writes it to bench/RESULTS.md. About 15 minutes; nothing else
# should run meanwhile. ROUNDS and PAIRS make it shorter or longer.
. "$(dirname "$0")/../scripts/common.sh"

build=${BUILD:-$root/build}
rounds=${ROUNDS:-200}
pairs=${PAIRS:-12}
llama=$("$root/scripts/get-llama.sh")
dense=$("$root/scripts/get-model.sh")
experts=$(dirname "$dense")/SmolLM2-8x2.gguf
bin=$llama/build/bin
agent=$build/src/agent/libtat_agent.so
tat=$build/src/cli/tat
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() {
    cc -O2 -D_GNU_SOURCE -I"$root/include" -I"$llama/include" -I"$llama/ggml/include" "$root/bench/$1.c" -o "$work/$1" \
        -L"$bin" -lllama -lggml -lggml-cpu -lggml-base -Wl,-rpath,"$bin" -Wl,--allow-shlib-undefined
}
traced() { TAT_DIR=$work/traces LD_PRELOAD=$agent "$@"; }

compile overhead
compile hot_path
cc -O2 -D_GNU_SOURCE -I"$root/include" "$root/bench/expand.c" -o "$work/expand" "$build/src/format/libtat_trace.a" \
    "$build/src/gguf/libtat_gguf.a" "$build/src/format/libtat_format.a"
cc -O2 -D_GNU_SOURCE -I"$root/include" "$root/bench/open_gguf.c" -o "$work/open_gguf" "$build/src/gguf/libtat_gguf.a" \
    "$build/src/format/libtat_format.a"
[ -e "$experts" ] || python3 "$root/tests/fixtures/make_moe.py" "$dense" "$experts" --experts 8 --used 2

measure() {
    echo "# What recording costs"
    echo
    echo "\`make bench\`, $(date -u +%Y-%m-%d): $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) CPUs," \
        "Linux $(uname -r); llama.cpp of $(basename "$llama"); commit $(git -C "$root" rev-parse --short HEAD)."
    echo
    echo "## The callback alone (\`bench/hot_path\`)"
    echo '```'
    traced "$work/hot_path" 20000
    echo '```'
    for model in "$dense" "$experts"; do
        for threads in 1 2; do
            echo
            echo "## $(basename "$model"), $threads thread(s): blocks of 10 tokens in one process (\`bench/overhead | bench/paired.py\`)"
            echo '```'
            traced "$work/overhead" "$model" "$threads" "$rounds" 10 | python3 "$root/bench/paired.py"
            echo '```'
        done
    done
    echo
    echo "## Whole runs (\`bench/whole_runs.py\`), $(basename "$dense"), 1 thread"
    echo '```'
    python3 "$root/bench/whole_runs.py" "$tat" "$bin/llama-completion" "$dense" 1 "$pairs" 100
    echo '```'
    echo
    echo "## The trace"
    echo '```'
    for model in "$dense" "$experts"; do
        rm -rf "$work/run"
        "$tat" record -o "$work/run" -- "$bin/llama-completion" -m "$model" -n 100 --temp 0 -no-cnv --ignore-eos \
            -p "The three laws of robotics are" < /dev/null > /dev/null 2>&1
        echo "$(basename "$model"): $(($(stat -c %s "$work/run/tensor_access.bin") / 106)) bytes a token, all included"
        "$work/expand" "$work/run"
    done
    echo '```'
    echo
    echo "## Opening a model file (\`bench/open_gguf\`)"
    echo '```'
    "$work/open_gguf" 100000
    echo '```'
}

measure | tee "$work/RESULTS.md"
cp "$work/RESULTS.md" "$root/bench/RESULTS.md"
