#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh: measures what recording costs, on this machine, and writes it to bench/RESULTS.md. About 15 minutes; nothing else
# should run meanwhile. ROUNDS and PAIRS make it shorter or longer.
. "$(dirname "$0")/../scripts/common.sh"

build=${BUILD:-$root/build}
rounds=${ROUNDS:-200}
pairs=${PAIRS:-12}
bin=$("$root/scripts/get-llama.sh")
llama=${bin%/build/bin}
models=$("$root/scripts/get-fixtures.sh")
dense=$models/SmolLM2-135M-Instruct.Q4_1.gguf
experts=$models/SmolLM2-8x2.gguf
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

for program in cover reads; do
    cc -O2 -std=gnu17 -D_GNU_SOURCE -I"$root/include" -I"$root/src" "$root/bench/$program.c" \
        "$build/src/manage/libtat_manage_core.a" -o "$work/$program" -luring -lpthread
done

# section TITLE PROGRAM: begins a block, which holds what the program prints.
section() {
    [ -z "${in_block:-}" ] || echo '```'
    printf '\n## %s (`bench/%s`)\n```\n' "$1" "$2"
    in_block=1
}

# What a run of 100 tokens takes on the disk, and what each further token adds.
trace_size() {
    rm -rf "$work/run"
    "$tat" record -o "$work/run" -- "$bin/llama-completion" -m "$1" -n 100 --temp 0 -no-cnv --ignore-eos \
        -p "The three laws of robotics are" < /dev/null > /dev/null 2>&1
    "$tat" dump --blocks "$work/run" | awk -F '\t' -v model="$(basename "$1")" -v rows="$(tokens_of "$work/run")" '
        NR > 1 { all += $3 }
        $2 == "evaluation" { last[n++ % 50] = $3 }
        END {
            for (i in last) more += last[i]
            printf "%s: %d bytes a token over the whole run; each further generated token: %d\n", model, (all + 4096) / rows, more / 50
        }'
    "$work/expand" "$work/run"
}

tokens_of() {
    python3 -c 'import json, sys; print(sum(json.load(open(sys.argv[1]))["totals"]["tokens"].values()))' "$1/trace_metadata.json"
}

measure() {
    echo "# What recording costs"
    echo
    echo "\`make bench\`, $(date -u +%Y-%m-%d): $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) CPUs," \
        "Linux $(uname -r); llama.cpp of $(basename "$llama"); commit $(git -C "$root" rev-parse --short HEAD)."
    echo
    echo "Figures compare traced with untraced runs, in turn. *off* is not hooked, *empty* is the hook with a callback that does nothing,"
    echo "*record* is the tracer, and *eval_callback* is the scheduler's own callback on every node, which other tools use. A confidence"
    echo "interval (CI) that contains 0 means that no difference was seen."
    section "The callback alone" hot_path
    traced "$work/hot_path" 20000
    for model in "$dense" "$experts"; do
        for threads in 1 2; do
            section "$(basename "$model"), $threads thread(s): blocks of 10 tokens in one process" "overhead | paired.py"
            traced "$work/overhead" "$model" "$threads" "$rounds" 10 | python3 "$root/bench/paired.py"
            section "$(basename "$model"), $threads thread(s): whole runs of llama-completion" whole_runs.py
            python3 "$root/bench/whole_runs.py" "$tat" "$bin/llama-completion" "$model" "$threads" "$pairs" 100
        done
    done
    if [ "$(id -u)" = 0 ]; then
        section "Events of the page cache, all recorded" io_rate.sh
        cc -O2 "$root/bench/page_churn.c" -o "$work/page_churn"
        "$root/bench/io_rate.sh" "$tat" "$work/page_churn"
    fi
    for threads in 1 2; do
        section "$(basename "$dense"), $threads thread(s): llama.cpp's own figures" cross_check.py
        python3 "$root/bench/cross_check.py" "$tat" "$bin" "$dense" "$threads" "$pairs"
    done
    section "Covering a piece of a model's mapping, and putting the file there again" cover
    "$work/cover" "$experts"
    "$work/cover" "$experts" 512
    section "Reading pieces of a model past the page cache" reads
    "$work/reads" "$experts"
    section "The trace" expand
    for model in "$dense" "$experts"; do trace_size "$model"; done
    section "Opening a model file" open_gguf
    "$work/open_gguf" 100000
    echo '```'
}

measure | tee "$work/RESULTS.md"
cp "$work/RESULTS.md" "$root/bench/RESULTS.md"
