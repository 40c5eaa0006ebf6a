#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh: builds tat, records a small model while it writes 100 tokens, then a model with experts that is made from it, and
# shows and plots what they touched. Uses a llama.cpp that others have built (scripts/get-wheels.sh). TAT_LLAMA=DIR uses the
# llama.cpp built there, TAT_MODEL=FILE another model instead of both; BUILD names the build folder.
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
    die "there is no llama-completion or llama-cli in $1, $1/bin or $1/build/bin"
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
    say "could not fetch a built llama.cpp for this machine; compiling it"
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
    { "$tat" record -- "${command[@]}" < /dev/null 2>&1 >&3 | { grep '^tat' >&2 || true; }; } 3>&1
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
page=${traces[-1]}/analysis/view.html
mkdir -p "${page%/*}"
if show export -o "$page" "${traces[@]}"; then
    say "$page shows ${#traces[@]} runs in a browser, as one file. The whole of it, live:" "$tat view ${traces[*]}"
fi
say "$(grep -c "\.png$" <<< "$pictures") plots are in the folders above; doc/gallery.md explains them. Try also \`$tat report\`, and with" \
    "plot --html or sql in place of report: these two print the command that installs their Python packages"
