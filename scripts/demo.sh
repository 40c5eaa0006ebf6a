#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh: builds all, lets a small model write 100 tokens under `tat record`, and shows and draws what it touched.
# TAT_LLAMA=DIR takes the llama.cpp built there; BUILD names the build folder.
. "$(dirname "$0")/common.sh"

build=${BUILD:-$root/build}

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

"$root/scripts/install-deps.sh" build
"$root/scripts/build.sh" "$build"
if [ -n "${TAT_LLAMA:-}" ]; then
    llama=$(find_llama "$TAT_LLAMA")
else
    "$root/scripts/install-deps.sh" test # ccache and Python, to fetch and build llama.cpp
    llama=$(find_llama "$("$root/scripts/get-llama.sh")")
fi
model=${TAT_MODEL:-$("$root/scripts/get-model.sh")}

tat=$build/src/cli/tat
step() { printf '\n$ tat %s\n' "$*" >&2; }
prompt="The three laws of robotics are"
step record -- "$(basename "$llama") -m $(basename "$model") -n 100 --temp 0 -no-cnv -p \"$prompt\""
"$tat" record -- "$llama" -m "$model" -n 100 --temp 0 -no-cnv -p "$prompt" < /dev/null 2> >(grep '^tat' >&2)
step verify
"$tat" verify
step report
"$tat" report
"$root/scripts/install-deps.sh" python
[ -x "$("$root/scripts/get-python.sh" --print)" ] || "$root/scripts/get-python.sh" > /dev/null
step plot
pictures=$("$tat" plot --format png)
echo "$pictures"
say "$(wc -l <<< "$pictures") pictures are in $(dirname "${pictures%%$'\n'*}"); \`tat plot --html\` makes pages of them, \`tat animate\` a film"
