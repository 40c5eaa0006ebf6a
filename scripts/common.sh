# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Shared by the scripts, which source it. $cache keeps what is fetched or built for the tests and the demo.

set -euo pipefail
umask 022

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tat
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=$(basename "$0" .sh)

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# one_at_a_time NAME: waits until no other script holds NAME, then holds it until this one ends.
one_at_a_time() {
    mkdir -p "$cache"
    exec 9> "$cache/$1.lock"
    flock -n 9 && return
    say "waiting for another script that uses $1"
    flock 9
}

# A folder in the cache that is deleted when the script ends, however it ends. Move out of it what is complete.
scratch_folder() {
    scratch=$(mktemp -d "$cache/tmp.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# python -m pip; in an environment of our own if the system has no pip.
pip() {
    if python3 -m pip --version > /dev/null 2>&1; then
        python3 -m pip "$@"
    else
        [ -x "$cache/pip/bin/pip" ] || python3 -m venv "$cache/pip"
        "$cache/pip/bin/pip" "$@"
    fi
}

# quietly COMMAND...: shows the command's output only if it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" > "$log" 2>&1 9>&- || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# make_of_dense MODEL MEGABYTES SCRIPT OPTION...: makes MODEL of that of scripts/get-model.sh, if it is not there yet. Needs no
# more of Python than drawing does, and the package gguf.
make_of_dense() {
    local model=$1 fixtures=$root/tests/fixtures dense python
    dense=$("$root/scripts/get-model.sh")
    one_at_a_time fixtures
    [ ! -e "$model" ] || return 0
    python=$("$root/scripts/get-python.sh" plot)
    scratch_folder
    # What gguf requires beside these, it imports for other things.
    quietly "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$scratch" \
        --constraint "$fixtures/requirements.txt" gguf PyYAML
    say "making $(basename "$model") ($2 MB)"
    PYTHONPATH=$scratch quietly "$python" "$fixtures/$3" "$dense" "$model" "${@:4}"
}
