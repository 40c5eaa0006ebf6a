#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# llama-server, which answers several at once and is ended by a signal.

load common

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf
short="The capital of France is"

setup() {
    [ -x "$LLAMA/llama-server" ] || skip "no llama-server: scripts/get-llama.sh 0.3.36 llama-server makes one"
    trace=$BATS_TEST_TMPDIR/run
    port=$(unused_port)
}

teardown() {
    [ -z "${server:-}" ] || kill -TERM "$server" 2> /dev/null || true # which the tracer passes on
}

is_ready() { python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health', timeout=5)" 2> /dev/null; }

# serve [BEFORE...] . ARGUMENT...: starts the server, as an argument of what stands before the point, and waits for it.
serve() {
    local before=()
    while [ "$1" != . ]; do
        before+=("$1")
        shift
    done
    "${before[@]}" "$LLAMA/llama-server" -m "$model" --host 127.0.0.1 --port "$port" -t 2 "${@:2}" 2> "$trace.stderr" 3>&- &
    server=$!
    while kill -0 "$server"; do
        ! is_ready || return 0
        sleep 0.2
    done
    cat "$trace.stderr"
    return 1
}

# stop SIGNAL: the exit status is in $status.
stop() {
    status=0
    kill -"$1" "$server"
    wait "$server" || status=$?
    server=
}

ask() { python3 "$BATS_TEST_DIRNAME/ask_server.py" "$port" "$@"; }

# How many evaluations begin with these words.
count() { "$EVALUATIONS" "$trace" | grep -c "^$1" || true; }

# The third question's prompt comes back from where the server keeps the caches of prompts it has answered.
@test "server: the same answers and exit status as untraced" {
    model $dense
    questions=(turn 6 "$prompt" 6 "$short" 6 "$prompt" 6 "$short and")
    for signal in TERM INT; do
        rm -rf "$trace"
        serve . -np 1
        untraced=$(ask "${questions[@]}")
        stop $signal
        untraced_status=$status
        serve "$TAT" record -o "$trace" -- . -np 1
        [ "$(ask "${questions[@]}")" = "$untraced" ]
        stop $signal
        [ "$status" -eq "$untraced_status" ]
        "$TAT" verify "$trace"
    done
}

@test "server: two at once in one cache are a mixed ubatch, then generated together" {
    model $dense
    serve "$TAT" record -o "$trace" -- . -np 2 --kv-unified
    ask meanwhile 120 "$short" 8 "$prompt"
    stop TERM
    "$TAT" verify "$trace"
    "$EVALUATIONS" "$trace" | sort | uniq -c
    [ "$(count 'mixed 45 tokens, 2 outputs')" -eq 1 ] # 44 of the prompt, and a generated one
    [ "$(count 'generate 2 tokens, 2 outputs')" -ge 7 ]
}

@test "server: two at once with a cache each: the prompt in pieces, a generated token after each" {
    model $dense
    serve "$TAT" record -o "$trace" -- . -np 2 --no-kv-unified -b 16
    ask meanwhile 120 "$short" 8 "$prompt"
    stop TERM
    "$TAT" verify "$trace"
    "$EVALUATIONS" "$trace" | sort | uniq -c
    [ "$(count 'prompt 15 tokens, 0 outputs')" -eq 2 ]
    [ "$(count 'prompt 1 tokens')" -eq 0 ]
    [ "$(count 'generate 2 tokens, 2 outputs')" -ge 7 ]
}

@test "server: two at once, experts" {
    model $experts
    serve "$TAT" record -o "$trace" -- . -np 2 --kv-unified
    ask meanwhile 120 "$short" 4 "$prompt"
    stop INT
    "$TAT" verify "$trace"
    [ "$(count 'mixed 45 tokens, 2 outputs')" -eq 1 ]
}

# Which ubatches there are is a matter of when each question comes in; how many rows they have in all is not, nor are answers.
@test "server: four at once, with a cache each: the same answers as untraced" {
    model $dense
    questions=(meanwhile 40 "$short" 30 "The moon is" 20 "Two and two are" 10 "Once upon a time")
    serve . -np 4 -c 1024
    untraced=$(ask "${questions[@]}")
    stop TERM
    for _ in {1..10}; do # until no answer ended before the last question came, as one may on a busy machine
        rm -rf "$trace"
        serve "$TAT" record -o "$trace" -- . -np 4 -c 1024
        [ "$(ask "${questions[@]}")" = "$untraced" ]
        stop TERM
        [ "$(count 'generate 4 tokens, 4 outputs')" -eq 0 ] || break
    done
    "$TAT" verify "$trace"
    "$EVALUATIONS" "$trace" | cut -d\; -f1 | sort | uniq -c
    [ "$(count 'generate 4 tokens, 4 outputs')" -ge 1 ]
    # An answer's last token is not computed.
    [ "$("$EVALUATIONS" "$trace" | awk '{ n[$1] += $2 } END { for (phase in n) print phase, n[phase] }' | sort | xargs)" = \
        "generate 96 prompt 16 warmup 4" ]
}

# An image of 56 x 56 pixels, which the projector makes 4 embeddings of: as many rows of the prompt without a token.
@test "server: an image: the projector's weights are of its own file, its embeddings rows of the prompt" {
    model random-llama.gguf
    projector=$MODELS/random-llama-projector.gguf
    [ -e "$projector" ] || skip "no random-llama-projector.gguf: scripts/get-fixtures.sh makes it"
    export LLAMA_MEDIA_MARKER="<image>" # else it is another one each time
    question=$(python3 -c 'if True:
        import base64, json
        image = b"P6 56 56 255\n" + bytes(range(224)) * (56 * 3 // 4)
        print(json.dumps({"prompt_string": "A picture <image> of a king",
                          "multimodal_data": [base64.b64encode(image).decode()]}))')
    serve . -np 1 -c 512 --mmproj "$projector"
    untraced=$(ask turn 4 "$question")
    stop TERM
    serve "$TAT" record -o "$trace" -- . -np 1 -c 512 --mmproj "$projector"
    [ "$(ask turn 4 "$question")" = "$untraced" ]
    stop TERM
    run -0 "$TAT" verify "$trace"
    weights=$("$TAT" gguf "$projector" | awk '$1 == "tensors" { print int($2) }')
    [[ $output =~ offsets\ +good\ +$((39 + weights))\ weights ]]
    parts_are "projector random-llama-projector.gguf" "model random-llama.gguf"
    [ "$(weights_of 1) $(weights_of 2)" = "$weights 39" ]
    [ "$("$EVALUATIONS" "$trace" | awk '$1 != "warmup" { print $1, $2, $4 }' | paste -sd,)" = \
        "prompt 10 0,other 0 4,prompt 4 0,prompt 10 1,generate 1 1,generate 1 1,generate 1 1" ]
    # What reads those weights is the image's graph, none of the model's.
    [ "$("$TAT" dump "$trace" --model projector | awk -F '\t' 'NR > 1 { print $3, $7 }' | sort -u)" = "3 other" ]
    for export in "$("$TAT" export "$trace" --format csv)" "$("$TAT" dump "$trace" | tr '\t' ,)"; do
        [ "$(awk -F, 'NR > 1 && $14 == 1 { print $13 }' <<< "$export" | sort -u | wc -l)" -eq "$weights" ]
    done
}

# Whether the server has unloaded its model. What it is asked while it does so, it may forget.
is_asleep() {
    python3 -c "import json, sys, urllib.request
sys.exit(not json.load(urllib.request.urlopen('http://127.0.0.1:$port/props', timeout=60))['is_sleeping'])"
}

@test "server: it sleeps and wakes: a context each time, tokens from 0, and the model's weights once" {
    model random-llama.gguf
    serve "$TAT" record -o "$trace" -- . -np 1 -c 512 --sleep-idle-seconds 1
    for _ in 1 2 3; do
        until is_asleep; do sleep 0.1; done
        ask turn 4 "$short"
    done
    stop TERM
    run -0 "$TAT" verify "$trace"
    "$EVALUATIONS" "$trace" | cut -d\; -f1 | uniq -c
    [ "$("$EVALUATIONS" "$trace" | awk '$1 != "warmup" { n[$1 " " $2]++ } END { for (of in n) print n[of], of }' | sort | xargs)" = \
        "3 prompt 5 9 generate 1" ]
    weights=$("$TAT" gguf "$model" | awk '$1 == "tensors" { print int($2) }')
    grep -E "^offsets +good +$weights weights" <<< "$output"
    mkdir "$BATS_TEST_TMPDIR/runs"
    mv "$trace" "$BATS_TEST_TMPDIR/runs"
    served=$("$HOST_DIR/check_trace" "$BATS_TEST_TMPDIR/runs" | awk '$1 == "served" { print $2 }')
    echo "$served"
    grep -qE '^1:random-llama.gguf:0-[0-9]+(,[2-5]:random-llama.gguf:0-[0-9]+){2,4}$' <<< "$served"
    [ "$(grep -o ':0-' <<< "$served" | wc -l)" -ge 3 ]
    "$TAT" report --json --section hot "$BATS_TEST_TMPDIR/runs/run" > "$BATS_TEST_TMPDIR/hot.json"
    python3 - "$weights" "$BATS_TEST_TMPDIR/hot.json" << 'END'
import json, sys
hot = json.load(open(sys.argv[2]))["hot"]
names = [row["tensor"] for row in hot["tables"]["tensors"]["rows"]]
assert len(names) == len(set(names)) == int(sys.argv[1]), names
END
}
