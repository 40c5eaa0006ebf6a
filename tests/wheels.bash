# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# llama.cpp as others have built it, from November 2024 to today (scripts/get-wheels.sh). CACHE is given.

# of_wheel NAME MODEL PROMPT N OPTION...: $command is a program that writes N tokens by that llama.cpp.
of_wheel() {
    local library
    [ -d "$CACHE/wheels/$1" ] || skip "no $1: scripts/get-wheels.sh fetches it"
    [ -e "$MODELS/$2" ] || skip "no $2: scripts/get-fixtures.sh makes it"
    for library in "$CACHE/wheels/$1"/{llama,xllamacpp}/*.so; do
        [ ! -e "$library" ] || break
    done
    command=(python3 "$BATS_TEST_DIRNAME/../record/ctypes_host.py" "$library" "$MODELS/$2" "${@:3}")
}
