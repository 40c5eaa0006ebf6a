#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Forks of llama.cpp and another program on ggml, as others have built them (scripts/get-wheels.sh). CACHE is given.

load common

dense=SmolLM2-135M-Instruct.Q4_1.gguf
fork=$CACHE/wheels/ik-llama-cpp-python-0.1.5

# Its plan is another struct, and it computes several products in a row as one, by a rule that it keeps to itself.
@test "forks: ik_llama.cpp, its callback's argument untouched, and the trace not proved" {
    [ -d "$fork" ] || skip "no ${fork##*/}: scripts/get-wheels.sh fetches it"
    [ -e "$MODELS/$dense" ] || skip "no $dense: scripts/get-fixtures.sh makes it"
    library=$fork/ik_llama_cpp/lib/libllama.so
    same_as_untraced ik python3 "$BATS_TEST_DIRNAME/fork_host.py" "$library" "$MODELS/$dense" "The three laws are" 3
    [[ $(tail -1 "$trace.traced") =~ ^"Counter({4660: "[0-9]+"})"$ ]]
    grep -q '^tat: .*checks FAILED' "$trace.stderr"
    run "$TAT" verify "$trace"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"3 unmatched"*"fuses or skips nodes by a rule that is not known, as forks do"* ]]
    [ "$(awk '$2 == "FAILED" { print $1 }' <<< "$output" | xargs)" = "identity recorded" ]
    run "$TAT" doctor "$library"
    [ "$status" -eq 0 ]
    [[ $output == *"fork "*"no thread pools, like forks (ik_llama.cpp)"* ]]
}

# Its models are not GGUF: what its weights are called, and where they are in the file, nobody knows.
@test "forks: whisper.cpp, each record counted, and weights and phases said to be unknown" {
    [ -e "$MODELS/random-whisper.bin" ] || skip "no random-whisper.bin: scripts/get-fixtures.sh makes it"
    wheel=$CACHE/wheels/pywhispercpp-1.5.1
    [ -d "$wheel" ] || skip "no ${wheel##*/}: scripts/get-wheels.sh fetches it"
    same_as_untraced whisper python3 "$BATS_TEST_DIRNAME/whisper_host.py" \
        "$wheel"/pywhispercpp.libs/libwhisper-*.so.* "$MODELS/random-whisper.bin" 4
    run -0 "$TAT" verify "$trace"
    echo "$output"
    [ "$(awk '/ good /' <<< "$output" | cut -d ' ' -f 1 | xargs)" = \
        "file end losses agent identity captures times records results" ]
    [[ $output == *"the format of $MODELS/random-whisper.bin is unknown"* ]]
    parts_are "unknown format random-whisper.bin"
    # Sound: convolutions, the encoder, what the decoder needs of it. Then three tokens at once, and one by one.
    [ "$("$EVALUATIONS" "$trace" | awk '{ print $1, $2, $4 }' | paste -sd,)" = \
        "other 0 64,other 0 32,other 0 1,other 0 3,other 0 1,other 0 1,other 0 1" ]
    "$TAT" report "$trace" | grep "random-whisper.bin"
}
