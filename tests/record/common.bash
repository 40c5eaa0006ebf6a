# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# TAT, EVALUATIONS, MODELS and LLAMA are given.

bats_require_minimum_version 1.5.0
load ../ends_early

# 44 tokens
prompt="Once upon a time there was a king who had three daughters, and the youngest of them was so fair that the sun \
itself, who had seen so many things, wondered each time it shone upon her face at all."

# What runs, and how it is told to complete a text and end; tests of older versions say something else.
program=$LLAMA/llama-completion
plain=(-no-cnv)
options=() # of tat record

model() {
    [ -x "$program" ] || skip "no $(basename "$program"): scripts/get-llama.sh makes one"
    [ -e "$MODELS/$1" ] || skip "no $1: scripts/get-fixtures.sh makes it"
    model=$MODELS/$1
}

# completion [BEFORE...] . ARGUMENT...: completes the prompt greedily, as an argument of what stands before the point.
completion() {
    local before=()
    while [ "$1" != . ]; do
        before+=("$1")
        shift
    done
    "${before[@]}" "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$prompt" "${@:2}" < /dev/null
}

# recorded NAME ARGUMENT...: the same text and exit status as untraced, and a trace, in $trace. Again where a text ended
# early. Where $untraced_text is set, it is the untraced text.
recorded() {
    trace=$BATS_TEST_TMPDIR/$1
    for _ in {1..10}; do
        rm -rf "$trace"
        if [ -n "${untraced_text:-}" ]; then
            cp "$untraced_text" "$trace.untraced"
        else
            completion . "${@:2}" > "$trace.untraced" 2> "$trace.stderr"
        fi
        completion "$TAT" record "${options[@]}" -o "$trace" -- . "${@:2}" > "$trace.traced" 2> "$trace.stderr" || {
            cat "$trace.stderr"
            return 1
        }
        ends_early "$trace.untraced" "$trace.traced" || break
    done
    cmp "$trace.untraced" "$trace.traced"
    [ -s "$trace.traced" ]
}

# same_as_untraced NAME COMMAND...: likewise, for any program. One that the processor cannot run untraced is skipped.
same_as_untraced() {
    local status=0 illegal_instruction=132
    trace=$BATS_TEST_TMPDIR/$1
    "${@:2}" > "$trace.untraced" 2> "$trace.stderr" < /dev/null || status=$?
    [ $status -ne $illegal_instruction ] || skip "this processor lacks an instruction that it was built with"
    "$TAT" record -o "$trace" -- "${@:2}" > "$trace.traced" 2> "$trace.stderr" < /dev/null || {
        cat "$trace.stderr"
        return 1
    }
    cmp "$trace.untraced" "$trace.traced"
    [ -s "$trace.traced" ]
}

# traced_like_untraced NAME ARGUMENT...: and the trace is proved.
traced_like_untraced() {
    recorded "$@"
    "$TAT" verify "$trace"
}

# refused TRACE CHECK WORDS: tat verify fails that check, in these words, and ends with status 1.
refused() {
    run "$TAT" verify "$1"
    echo "$output"
    [ "$status" -eq 1 ]
    grep -qE "^$2 +FAILED .*" <<< "$output"
    [[ $output == *"$3"* ]]
}

# parts_are "PART FILE"...: what $trace says of its model files, in order.
parts_are() {
    "$TAT" report --json --section run "$trace" | python3 -c \
        'import json, os, sys; [print(f["part"], os.path.basename(f["path"])) for f in json.load(sys.stdin)["run"]["values"]["model_files"]]' |
        diff - <(printf '%s\n' "$@")
}

# weights_of FILE: how many weights $trace has of the model file with this number; 0: of none.
weights_of() { awk -F '\t' -v file="$1" 'NR > 1 && $4 == "weight" && $9 == file' "$trace/tensor_names.txt" | wc -l; }

# unused_port: below those that the system gives to whoever asks for any, so that nobody gets it meanwhile.
unused_port() {
    python3 -c 'import random, socket
for port in random.sample(range(10000, 30000), 100):
    with socket.socket() as one:
        if one.connect_ex(("127.0.0.1", port)) != 0:
            print(port)
            break'
}
