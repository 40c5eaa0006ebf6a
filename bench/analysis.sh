#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# analysis.sh: measures what asking a trace costs, and writes it to bench/ANALYSIS.md. About ten minutes; nothing else should
# run meanwhile. It needs 12 GB of memory and 9 GB in the folder for temporary files, and leaves nothing there.
. "$(dirname "$0")/../scripts/common.sh"

build=${BUILD:-$root/build}
rounds=${ROUNDS:-5}
bin=$("$root/scripts/get-llama.sh")
models=$("$root/scripts/get-fixtures.sh")
python=$("$root/scripts/get-python.sh")
tat=$build/src/cli/tat
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TAT_LIBRARY=$build/library/libtat.so.0

compile() {
    cc -O2 -D_GNU_SOURCE -I"$root/include" -I"$root/src" "$root/bench/$1.c" -o "$work/$1" "$build/library/libtat.a" \
        "$build/src/format/libtat_format.a" -ljansson -lpthread -lm
}

# grown MODEL MILLIONS: a trace of so many million records, out of 100 tokens of that model.
grown() {
    local folder=$work/${1%%.*}-$2
    [ -d "$work/$1" ] || "$tat" record -o "$work/$1" -- "$bin/llama-completion" -m "$models/$1" -n 100 --temp 0 -no-cnv \
        --ignore-eos -p "The three laws of robotics are" < /dev/null > /dev/null 2>&1
    if [ ! -d "$folder" ]; then
        mkdir "$folder"
        "$work/grow_trace" "$work/$1" "$folder/tensor_access.bin" "$2" > "$folder/made"
        "$tat" report --section run "$folder" > /dev/null # writes what stands beside it
    fi
    echo "$folder"
}

# taken COMMAND...: median of the seconds it takes, and the most memory.
taken() {
    local i
    for ((i = 0; i < rounds; i++)); do /usr/bin/time -f '%e %M' "$@" 2>&1 > /dev/null | tail -1; done | sort -n |
        awk '{ s[NR] = $1; if ($2 > most) most = $2 } END { printf "%6.2f s, %4.0f MB\n", s[int((NR + 1) / 2)], most / 1024 }'
}

measure() {
    local model millions trace
    printf '# What asking a trace costs\n\n'
    echo "\`bench/analysis.sh\`, $(date -u +%Y-%m-%d): $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) CPUs," \
        "Linux $(uname -r); commit $(git -C "$root" rev-parse --short HEAD). Medians of $rounds runs. Each trace repeats" \
        "the graphs of a real run of 100 tokens until it is long enough (\`bench/grow_trace.c\`)."
    for model in SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-8x2.gguf; do
        for millions in 10 100; do
            trace=$(grown "$model" "$millions")
            printf '\n## %s: %s\n```\n' "$model" "$(cat "$trace/made")"
            echo "tat report, all sections but caching: $(taken "$tat" report "$trace")"
            [ "$millions" -ne 10 ] || echo "tat report --section caching:         $(taken "$tat" report --section caching "$trace")"
            "$work/sums" "$trace"
            echo '```'
        done
    done
    for millions in 10 100; do
        trace=$(grown SmolLM2-135M-Instruct.Q4_1.gguf "$millions")
        printf '\n## Three aggregates of %s million records, and peers (`bench/peers.py`)\n```\n' "$millions"
        PYTHONPATH=$root/python:$work/polars "$python" "$root/bench/peers.py" "$trace" "$work" "$rounds"
        echo '```'
    done
    printf '\n## A million records as a data frame (`bench/frame.py`)\n```\n'
    PYTHONPATH=$root/python "$python" "$root/bench/frame.py" "$trace" 1000000 "$rounds"
    echo '```'
}

"$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$work/polars" \
    -r "$root/bench/requirements.txt"
compile grow_trace
compile sums
measure | tee "$work/ANALYSIS.md"
cp "$work/ANALYSIS.md" "$root/bench/ANALYSIS.md"
