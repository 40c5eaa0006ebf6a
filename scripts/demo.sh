#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh: builds tat, lets a small model write 100 tokens under `tat record`, and then one with experts that is made of it, and
# shows and draws what they touched. llama.cpp is one that others have built (scripts/get-wheels.sh).
# TAT_LLAMA=DIR takes the llama.cpp built there, TAT_MODEL=FILE another model in place of both; BUILD names the build folder.
. "$(dirname "$0")/common.sh"

build=${BUILD:-$root/build}
wheel=xllamacpp-2026.10.11549
prompt="The three laws of robotics are"
tat=$build/src/cli/tat

find_llama() {
    local folder name
    for folder in "$1" "$1/bin" "$1/build/bin"; do
        for name in llama-completion llama-cli; do
            if [ -x "$folder/$name" ]; then
                echo "$folder/$name"
                return
            fi
        done
    done
    die "no llama-completion or llama-cli in $1, its bin or its build/bin"
}

# beside COMMAND...: begins it. all_done waits for all that was begun so.
beside() {
    "$@" > /dev/null &
    begun+=($!)
}
all_done() {
    for process in "${begun[@]}"; do wait "$process"; done
    begun=()
}

get_llama() {
    "$root/scripts/get-wheels.sh" $wheel && return
    say "no built llama.cpp for this machine could be fetched: compiling it"
    "$root/scripts/install-deps.sh" llama
    "$root/scripts/get-llama.sh"
}

# Mostly waiting for others, while tat is compiled.
fetch() {
    local begun=()
    [ -n "${TAT_LLAMA:-}" ] || beside get_llama
    [ -n "${TAT_MODEL:-}" ] || beside "$root/scripts/get-model.sh"
    beside "$root/scripts/get-python.sh" plot
    all_done
    [ -n "${TAT_MODEL:-}" ] || beside "$root/scripts/get-experts.sh"
    all_done
}

# command_for MODEL: sets the command that writes 100 tokens.
command_for() {
    local extension=$cache/wheels/$wheel/xllamacpp/xllamacpp.abi3.so
    if [ -z "${TAT_LLAMA:-}" ] && [ -e "$extension" ]; then
        command=(python3 "$root/tests/record/ctypes_host.py" "$extension" "$1" "$prompt" 100 --threads "$(nproc)")
    else
        command=("$(find_llama "${TAT_LLAMA:-$("$root/scripts/get-llama.sh")}")"
            -m "$1" -n 100 -c 512 --temp 0 -no-cnv -p "$prompt")
    fi
}

# step WORD...: shows a command of tat, with files by their names alone.
step() {
    local word line="\$ tat"
    for word in "${@##*/}"; do
        [[ $word != *' '* ]] || word="\"$word\""
        line+=" $word"
    done
    printf '\n%s\n' "$line" >&2
}
show() {
    step "$@"
    "$tat" "$@"
}

# record MODEL
record() {
    command_for "$1"
    step record -- "${command[@]}"
    "$tat" record -- "${command[@]}" < /dev/null 2> >(grep '^tat' >&2)
    show verify
}

newest_trace() {
    local folders=("${TAT_DIR:-traces}"/run_*/)
    echo "${folders[-1]%/}"
}

# draw: a processor for each trace.
draw() {
    local begun=() trace
    for trace in "${traces[@]}"; do
        step plot --format png "$trace"
        "$tat" plot --format png "$trace" &
        begun+=($!)
    done
    all_done
}

"$root/scripts/install-deps.sh" demo
fetch &
fetching=$!
"$root/scripts/build.sh" "$build"
wait $fetching

models=("${TAT_MODEL:-$("$root/scripts/get-model.sh")}")
[ -n "${TAT_MODEL:-}" ] || models+=("$("$root/scripts/get-experts.sh")")
traces=()
for model in "${models[@]}"; do
    record "$model"
    show report --questions
    traces+=("$(newest_trace)")
done
pictures=$(draw)
printf '%s\n' "$pictures"
say "$(wc -l <<< "$pictures") pictures are in the folders above; doc/gallery.md says what they show. \`tat report\` tells all;" \
    "\`tat plot --html\` and \`tat sql\` name what installs the Python packages that they need"
