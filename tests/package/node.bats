#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# Where no node is installed, the page of `tat view` is built with that of a Python package; without a network, it is said what
# is missing.

bats_require_minimum_version 1.5.0
scripts=$BATS_TEST_DIRNAME/../../scripts

setup() {
    # All that is on PATH but node.
    mkdir "$BATS_TEST_TMPDIR/bin"
    find $(tr : ' ' <<< "$PATH") -maxdepth 1 ! -type d ! -name 'node*' ! -name 'np[mx]' -exec ln -s -t "$BATS_TEST_TMPDIR/bin" {} + \
        2> /dev/null || true
    PATH=$BATS_TEST_TMPDIR/bin
    export XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache
    ! command -v node
}

@test "node: without one, the page is built all the same" {
    page=$("$scripts/build-page.sh")
    [ -s "$page/index.html" ]
}

@test "node: without one and without a network, it is said" {
    PIP_INDEX_URL=http://127.0.0.1:9/ run "$scripts/build-page.sh"
    echo "$output"
    [ "$status" -ne 0 ]
    [[ ${lines[-1]} == "get-node: there is no node 20.19 or newer with npm on PATH, and the Python package "*" cannot be fetched" ]]
}
