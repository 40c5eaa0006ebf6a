#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test-aarch64.sh [FOLDER]: builds everything for 64-bit ARM in FOLDER, and runs the unit tests and the agent in the fake
# host under qemu. Works on Debian, whose servers have all architectures. Installs only a compiler and an emulator in the
# system; the ARM libraries go into a folder of the cache.
. "$(dirname "$0")/common.sh"

folder=$(realpath -m "${1:-$root/build-aarch64}")
sysroot=$cache/aarch64
libraries="libjansson4 libjansson-dev libsmartcols1 libsmartcols-dev libelf1 libelf-dev liburing2 liburing-dev
    libmicrohttpd12 libmicrohttpd-dev libgnutls30 libp11-kit0 libidn2-0 libunistring2 libtasn1-6 libnettle8 libhogweed6 libgmp10 libffi8
    zlib1g zlib1g-dev libcmocka0 libcmocka-dev libxxhash-dev"

# arm_apt ARGUMENT...: apt-get for arm64, with lists of its own.
arm_apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$scratch/state" \
        -o Dir::Cache="$scratch/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root "$@"
}

fetch_libraries() {
    say "fetching libraries for arm64"
    scratch_folder
    mkdir -p "$scratch/state/lists/partial" "$scratch/cache/archives/partial" "$scratch/debs" "$scratch/sysroot"
    quietly arm_apt update || die "apt has no arm64 packages here; use a system whose package servers have them, such as Debian"
    # shellcheck disable=SC2086 # a list
    (cd "$scratch/debs" && quietly arm_apt download $libraries)
    for package in "$scratch"/debs/*.deb; do dpkg-deb -x "$package" "$scratch/sysroot"; done
    [ ! -d "$scratch/sysroot/lib" ] || cp -a "$scratch/sysroot/lib/." "$scratch/sysroot/usr/lib" # zlib's, of old
    mv "$scratch/sysroot" "$sysroot"
}

emulated() { qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$sysroot/usr/lib/aarch64-linux-gnu" "$@"; }

# The agent records what the host counts, and changes nothing of what it says.
try_agent() {
    local host=$folder/tests/host/fake_host_linked traces=$scratch/traces counted stored
    emulated "$host" --write "$scratch/toy.gguf"
    TAT_OFF=1 emulated "$host" -c 3 -g 60 "$scratch/toy.gguf" > "$scratch/plain"
    TAT_DIR=$traces emulated "$host" -c 3 -g 60 "$scratch/toy.gguf" > "$scratch/seen"
    cmp "$scratch/plain" "$scratch/seen"
    counted=$(awk '{ sum += $4 } END { print sum }' "$scratch/plain")
    stored=$(emulated "$folder/tests/host/check_trace" "$traces" | awk '$1 == "stored" { print $2 }')
    [ "$counted" -gt 0 ] && [ "$counted" = "$stored" ] || die "the host computed $counted graphs, but $stored are recorded"
    say "the agent on arm64: $stored graphs, all recorded"
}

"$root/scripts/install-deps.sh" aarch64
one_at_a_time aarch64
[ -d "$sysroot" ] || fetch_libraries
"$root/scripts/build.sh" "$folder" -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64.cmake" -DTAT_SYSROOT="$sysroot" \
    -DTAT_TESTS=ON -DTAT_WERROR=ON
scratch_folder
try_agent
ctest --test-dir "$folder" --output-on-failure --no-tests=error -L unit
