# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# On a busy machine llama-completion may exit before its thread that prints has printed all, traced or not.

# begins_alike ONE OTHER: the two texts are the same as far as the shorter one goes.
begins_alike() {
    local size
    size=$(stat -c %s "$1" "$2" | sort -n | head -1)
    cmp -n "$size" "$1" "$2"
}

# ends_early ONE OTHER: one of the two texts is how the other begins.
ends_early() { ! cmp -s "$1" "$2" && begins_alike "$1" "$2" > /dev/null; }
