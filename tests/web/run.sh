#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh check: types and unit tests of the page. run.sh traces: records the runs that the pages of the other tests show, into $TRACES.
# run.sh FILE: a file of tests in a browser.
set -euo pipefail

skip() {
    echo "ok 1 $what # skip $*"
    exit
}

what=$(basename "$1" .test.mjs)
tools=$("$SOURCE/scripts/get-page-tools.sh" --print 2> /dev/null) || skip "no page in this tree"
[ -e "$tools/node_modules" ] || skip "no packages of npm: scripts/get-page-tools.sh installs them"
PATH=$("$SOURCE/scripts/get-node.sh"):$PATH
export PATH TOOLS=$tools

dense=SmolLM2-135M-Instruct.Q4_1.gguf
moe=SmolLM2-8x2.gguf

# recorded NAME MODEL TOKENS PROMPT [OPTION...]: a greedy run; what it wrote is in NAME.txt. Options of tat record.
recorded() {
    rm -rf "${TRACES:?}/$1"
    "$TAT" record --io "${@:5}" -o "$TRACES/$1" -- "$LLAMA/llama-completion" -m "$MODELS/$2" -p "$4" -n "$3" --temp 0 -no-cnv \
        --ignore-eos -t 2 -c 512 < /dev/null > "$TRACES/$1.txt" 2> "$TRACES/$1.log" || { cat "$TRACES/$1.log"; return 1; }
}

# starved: a run whose model, a copy of its own, does not fit in memory, where the system allows that.
starved() {
    rm -rf "${TRACES:?}/starved"
    cp "$MODELS/$dense" "$TRACES/starved.gguf"
    "$TAT" record --io --memory 100M -o "$TRACES/starved" -- "$LLAMA/llama-completion" -m "$TRACES/starved.gguf" -p "Once upon" -n 6 \
        --temp 0 -no-cnv --ignore-eos -t 2 -c 256 < /dev/null > "$TRACES/starved.log" 2>&1 || rm -rf "$TRACES/starved"
    rm "$TRACES/starved.gguf"
}

# drafted: two models in one process, of which the draft, a copy that stays for its vocabulary, calls one token by another name.
drafted() {
    local size='\x0c\x00\x00\x00\x00\x00\x00\x00'
    rm -rf "${TRACES:?}/drafted"
    LC_ALL=C sed "s/$size<|im_start|>/$size<|IM_START|>/" "$MODELS/$dense" > "$TRACES/draft.gguf"
    "$TAT" record -o "$TRACES/drafted" -- "$LLAMA/llama-speculative-simple" -m "$MODELS/$dense" -md "$TRACES/draft.gguf" \
        --spec-type draft-simple -p $'<|im_start|>user\nA robot' -n 8 --temp 0 -t 2 -c 512 < /dev/null > "$TRACES/drafted.txt" \
        2> "$TRACES/drafted.log" || { cat "$TRACES/drafted.log"; return 1; }
}

case $1 in
    check)
        rm -rf page
        mkdir page
        (cd "$SOURCE/web" && find . \( -name node_modules -o -name dist \) -prune -o -type f -print0) |
            (cd page && xargs -0 -I{} install -D -m 644 "$SOURCE/web/{}" "{}")
        ln -s "$tools/node_modules" page/node_modules
        cd page
        exec npm run --silent check
        ;;
    traces)
        [ -x "$LLAMA/llama-completion" ] || skip "no llama.cpp: scripts/get-llama.sh makes one"
        [ -e "$MODELS/$moe" ] || skip "no $moe: scripts/get-fixtures.sh makes it"
        mkdir -p "$TRACES"
        recorded experts $moe 40 "The three laws of robotics are"
        recorded others $moe 40 "Once upon a time there was a"
        recorded dense $dense 24 "The quick brown fox jumps"
        recorded split random-llama-split-00001-of-00003.gguf 8 "a b c"
        recorded words $dense 12 $'<|im_start|>user\nA robot 🤖 said "naïve 机器人":\n'
        recorded private $dense 4 "A secret word" --private
        drafted
        starved
        ;;
    *)
        [ -e "$TRACES/dense/tensor_access.bin" ] || skip "no traces: see web.traces"
        [ -x /usr/bin/chromium ] || skip "no chromium"
        exec node --test --test-reporter=tap "$1"
        ;;
esac
