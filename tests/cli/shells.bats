#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Completions in the shells they are for, as when TAB is pressed. TAT is the program under test.

setup() {
    TAT=${TAT:-tat}
    mkdir -p "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/completions"
    cd "$BATS_TEST_TMPDIR"
    mkdir -p traces/run_20260102_030405
    touch model.gguf
    ln -s "$(realpath "$TAT")" bin/tat # fish asks it for the traces
    printf '#!/bin/sh\n' > bin/a-traced-program
    chmod +x bin/a-traced-program
    export PATH=$PWD/bin:$PATH
    unset TAT_DIR
}

# completes SHELL LINE EXPECTED...: TAB makes EXPECTED of each LINE.
completes() {
    local shell=$1 lines=() expected=()
    shift
    while [ $# -gt 0 ]; do
        lines+=("$1")
        expected+=("$2")
        shift 2
    done
    diff <(printf '%s\n' "${expected[@]}") <(python3 "$BATS_TEST_DIRNAME/typed.py" "$shell" "$script" "${lines[@]}")
}

# What bash and zsh have in common.
common=(
    'tat rec' 'tat record '
    'tat --vers' 'tat --version '
    'tat list --js' 'tat list --json '
    'tat list mod' 'tat list mod' # takes a folder, and this is a file
    'tat list tra' 'tat list traces/'
    'tat gguf mod' 'tat gguf model.gguf '
    'tat rm run' 'tat rm run_20260102_030405 '
    'tat verify run_2026' 'tat verify run_20260102_030405 '
    'tat doctor a-trac' 'tat doctor a-traced-program '
    'tat doctor ./mod' 'tat doctor ./model.gguf '
    'tat record a-trac' 'tat record a-traced-program '
    'tat record -o tra' 'tat record -o traces/'
    'tat record --private -- a-trac' 'tat record --private -- a-traced-program '
    'tat record -- a-traced-program mod' 'tat record -- a-traced-program model.gguf '
    'tat export -f per' 'tat export -f perfetto '
    'tat anim' 'tat animate '
    'tat plot --ht' 'tat plot --html '
    'tat plot run_2026' 'tat plot run_20260102_030405 '
    'tat sql --engine du' 'tat sql --engine duckdb '
    'bin/tat parq' 'bin/tat parquet ' # as from a build tree
)

@test "bash" {
    script=completions/tat
    "$TAT" --completion bash > "$script"
    completes bash "${common[@]}" 'tat record --max' 'tat record --max-size '
}

@test "zsh" {
    command -v zsh > /dev/null || skip "no zsh: scripts/install-deps.sh test installs it"
    script=completions/_tat
    "$TAT" --completion zsh > "$script"
    completes zsh "${common[@]}" 'tat record --max' 'tat record --max-size='
}

# offers LINE EXPECTED...: fish shows exactly these for it, their explanations left out.
offers() {
    local line=$1
    shift
    diff <(printf '%s\n' "$@") <(fish --no-config -c "source completions/tat.fish; complete -C '$line'" | cut -f 1)
}

@test "fish" {
    command -v fish > /dev/null || skip "no fish: scripts/install-deps.sh test installs it"
    "$TAT" --completion fish > completions/tat.fish
    offers 'tat rec' record
    offers 'tat --' --help --no-pager --version
    offers 'tat list --js' --json
    offers 'tat gguf mod' model.gguf
    offers 'tat rm run' run_20260102_030405
    offers 'tat verify run_2026' run_20260102_030405
    offers 'tat doctor a-trac' a-traced-program
    offers 'tat doctor ./mod' ./model.gguf
    offers 'tat record a-trac' a-traced-program
    offers 'tat record -o x --private -- a-trac' a-traced-program
    offers 'tat record -- a-traced-program mod' model.gguf
    offers 'tat record -- tat list --js' --json
    offers 'tat export -f per' perfetto
    offers 'tat sql --engine du' duckdb
    offers 'tat plot --ht' --html
    PATH=${PATH#*:} offers 'bin/tat plot run_2026' run_20260102_030405 # as from a build tree
}
