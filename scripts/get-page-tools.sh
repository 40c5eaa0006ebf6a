#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# get-page-tools.sh [--print]: installs what builds and tests the page of `tat view` (web/package-lock.json) into $XDG_CACHE_HOME/tat
# and prints the folder, which has node_modules. --print makes nothing and only prints it.
. "$(dirname "$0")/common.sh"

[ -e "$root/web/package-lock.json" ] || die "there is no web/package-lock.json"
folder=$cache/page-tools-$(cat "$root/web/package.json" "$root/web/package-lock.json" | sha256sum | cut -c 1-12)
if [ "${1:-}" != --print ] && [ ! -e "$folder/node_modules" ]; then
    node=$("$root/scripts/get-node.sh")
    one_at_a_time page-tools
    if [ ! -e "$folder/node_modules" ]; then
        scratch_folder
        cp "$root"/web/package.json "$root"/web/package-lock.json "$root"/web/.npmrc "$scratch"
        # Without a network this must not take minutes.
        (cd "$scratch" && PATH=$node:$PATH quietly npm ci --ignore-scripts --no-audit --no-fund --prefer-offline \
            --cache "$cache/npm" --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-timeout=60000) ||
            die "npm cannot fetch what builds the page"
        chmod 755 "$scratch"
        mv "$scratch" "$folder"
    fi
    find "$cache" -maxdepth 1 -name 'page-tools-????????????' -mtime +30 -exec rm -rf {} + # of versions that are pinned no longer
fi
[ "${1:-}" = --print ] || touch "$folder"
echo "$folder"
