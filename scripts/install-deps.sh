#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# install-deps.sh [build | python | test | aarch64]: installs what building (or what the commands in Python, or also testing,
# also for 64-bit ARM) needs and is not there; nothing if all is.
. "$(dirname "$0")/common.sh"

has_program() { command -v "$1" > /dev/null; }
has_library() { has_program pkg-config && pkg-config --exists "$1"; }
has_header() { has_program cc && echo "#include <$1>" | cc -E - > /dev/null 2>&1; }
has_fuzzer() { has_program clang && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer -o /dev/null -x c - 2> /dev/null; }
has_cross() { has_program "$1" && echo '#include <stdio.h>' | "$1" -E - > /dev/null 2>&1; }
has_java() { has_program java && [ "$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')" -ge "$1" ]; }
has_font() { has_program fc-list && fc-list : family | grep "^$1" > /dev/null; }
has_python() { python3 -c "import $1" > /dev/null 2>&1; }

# What is asked for, and Debian's name of the package that has it.
needs_to_build="
    program cc           gcc
    program c++          g++
    program make         make
    program cmake        cmake
    program ninja        ninja-build
    program pkg-config   pkg-config
    library jansson      libjansson-dev
    library smartcols    libsmartcols-dev
    library libelf       libelf-dev
    header  xxhash.h     libxxhash-dev"
needs_for_python="
    program python3      python3
    python  venv,ensurepip python3-venv"
needs_to_test="$needs_for_python
    program bats         bats
    program git          git
    library cmocka       libcmocka-dev
    library openblas     libopenblas-dev
    program ccache       ccache
    program btrfs        btrfs-progs
    program zsh          zsh
    program fish         fish
    program groff        groff-base
    program dpkg-shlibdeps dpkg-dev
    program file         file
    program musl-gcc     musl-tools
    program ffmpeg       ffmpeg
    program chromium     chromium
    program fc-list      fontconfig
    font    DejaVu       fonts-dejavu-core
    font    Liberation   fonts-liberation
    program clang        clang
    fuzzer  clang        libclang-rt-dev
    java    17           openjdk-17-jre-headless"

needs_to_cross="
    program aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    cross   aarch64-linux-gnu-gcc libc6-dev-arm64-cross
    program qemu-aarch64 qemu-user"

missing() {
    local kind what package
    while read -r kind what package; do
        [ -z "$kind" ] || "has_$kind" "$what" || echo "$package"
    done <<< "$1"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has_program sudo; then
        sudo "$@"
    else
        die "needs root for: $*"
    fi
}

case ${1:-build} in
    build) needs=$needs_to_build ;;
    python) needs=$needs_for_python ;;
    test) needs=$needs_to_build$needs_to_test ;;
    aarch64) needs=$needs_to_build$needs_to_test$needs_to_cross ;;
    *) die "usage: install-deps.sh [build | python | test | aarch64]" ;;
esac
packages=$(missing "$needs" | tr '\n' ' ')
[ -n "$packages" ] || exit 0
has_program apt-get || die "missing, by the names Debian has for them: $packages"
say "installing $packages"
one_at_a_time install-deps
quietly as_root apt-get -qq update || say "could not update the lists of packages: trying without"
# shellcheck disable=SC2086 # a list
quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages ||
    die "could not install: $packages"
left=$(missing "$needs" | tr '\n' ' ')
[ -z "$left" ] || die "installed, but still not usable: $left"
