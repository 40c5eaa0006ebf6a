#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# build-page.sh: builds the page of `tat view` from web/ and prints the folder that it is in. What it needs is fetched into
# $XDG_CACHE_HOME/tat, where the page is kept, too: it is built once, whatever build folders there are.
. "$(dirname "$0")/common.sh"

# The sources, without what tools leave beside them.
sources() {
    find . \( -name node_modules -o -name dist -o -name test-results \) -prune -o -type f -print0 | LC_ALL=C sort -z
}

build() {
    local node tools
    node=$("$root/scripts/get-node.sh" 9>&-)
    tools=$("$root/scripts/get-page-tools.sh" 9>&-)
    scratch_folder
    (cd "$root/web" && sources | xargs -0 cp --parents -t "$scratch")
    ln -s "$tools/node_modules" "$scratch/node_modules"
    (cd "$scratch" && PATH=$node:$PATH quietly npm run build)
    [ -s "$scratch/dist/index.html" ] || die "npm run build made no dist/index.html"
    mv "$scratch/dist" "$folder"
}

[ -e "$root/web/package-lock.json" ] || die "there is no web/package-lock.json"
folder=$cache/page-$(cd "$root/web" && sources | xargs -0 sha256sum | sha256sum | cut -c 1-12)
if [ ! -e "$folder/index.html" ]; then
    one_at_a_time page
    [ -e "$folder/index.html" ] || build
    find "$cache" -maxdepth 1 -name 'page-????????????' -mtime +30 -exec rm -rf {} + # of sources that were changed since
fi
touch "$folder"
echo "$folder"
