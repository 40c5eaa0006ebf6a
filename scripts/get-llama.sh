#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-llama.sh [VERSION [TARGET...]]: fetches the llama.cpp in llama-cpp-python VERSION and builds it in
# $XDG_CACHE_HOME/tat/llama.cpp-VERSION. Prints the folder of the programs. Does nothing twice.
. "$(dirname "$0")/common.sh"

version=${1:-0.3.36}
[[ $version =~ ^[0-9]+(\.[0-9]+)+$ ]] || die "'$version' is not a version number such as 0.3.36"
shift $(($# > 0))
source=$cache/llama.cpp-$version

fetch() {
    say "fetching llama.cpp (llama-cpp-python $version)"
    scratch_folder
    # The build requirements in its pyproject.toml are fetched too: pip wants them to read its metadata.
    quietly pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$scratch" "llama-cpp-python==$version"
    mkdir "$scratch/tree"
    tar -xzf "$scratch"/llama_cpp_python-*.tar.gz -C "$scratch/tree" --strip-components=3 --wildcards '*/vendor/llama.cpp/*'
    mv "$scratch/tree" "$source"
    rm -rf "$scratch"
}

# Where llama-completion does not exist yet, llama-cli is the program that completes.
default_targets() {
    if [ -d "$source/tools/completion" ]; then
        echo llama-completion llama-bench llama-eval-callback llama-simple
    else
        echo llama-cli
    fi
}

configure() {
    local options=(-DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF)
    # Older versions take ccache in a way that does not work with it.
    [ -d "$source/tools/completion" ] || options+=(-DGGML_CCACHE=OFF)
    quietly cmake -S "$source" -B "$source/build" -G Ninja "${options[@]}"
}

# "[12/145]" as one line that changes on a terminal, else each tenth part.
show_progress() {
    local shown=-1 line done total
    while read -r line; do
        [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        done=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
        if [ -t 2 ]; then
            printf '\r\033[K%s: building llama.cpp %s [%s/%s]' "$me" "$version" "$done" "$total" >&2
        elif ((done * 10 / total > shown)); then
            shown=$((done * 10 / total))
            say "building llama.cpp $version [$done/$total]"
        fi
    done
    [ ! -t 2 ] || printf '\r\033[K' >&2
}

build() {
    local log=$source/build/tat-build.log
    if ! ninja -C "$source/build" "$@" 2>&1 9>&- | tee "$log" | show_progress; then
        tail -40 "$log" >&2
        die "llama.cpp $version could not be built: see $log"
    fi
}

export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
one_at_a_time "llama.cpp-$version"
[ -d "$source" ] || fetch
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(default_targets)
stamp="$source/build/.built-$(IFS=+; echo "$*")"
if [ ! -e "$stamp" ]; then
    configure
    build "$@"
    touch "$stamp"
fi
echo "$source/build/bin"
