#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# install-deps.sh [--list] [build | demo | llama | test | aarch64]: installs missing packages that are needed to build, to run
# the demonstration, to compile llama.cpp, to test, or to test also for 64-bit ARM. --list only prints all that are needed.
. "$(dirname "$0")/common.sh"

has_program() { command -v "$1" > /dev/null; }
has_library() { has_program pkg-config && pkg-config --exists "$1"; }
has_header() { has_program cc && echo "#include <$1>" | cc -E - > /dev/null 2>&1; }
has_fuzzer() { has_program clang && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer -o /dev/null -x c - 2> /dev/null; }
has_cross() { has_program "$1" && echo '#include <stdio.h>' | "$1" -E - > /dev/null 2>&1; }
has_java() { has_program java && [ "$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')" -ge "$1" ]; }
has_font() { has_program fc-list && fc-list : family | grep "^$1" > /dev/null; }
has_python() { python3 -c "import $1" > /dev/null 2>&1; }

# What is needed, and the Debian package that has it.
needs_to_build="
    program cc           gcc
    program make         make
    program cmake        cmake
    program ninja        ninja-build
    program pkg-config   pkg-config
    library jansson      libjansson-dev
    library smartcols    libsmartcols-dev
    library libelf       libelf-dev
    library liburing     liburing-dev
    library libmicrohttpd libmicrohttpd-dev
    header  xxhash.h     libxxhash-dev"
needs_for_python="
    program python3      python3
    python  venv,ensurepip python3-venv"
needs_for_llama="$needs_for_python
    program c++          g++"
needs_to_test="$needs_for_llama
    program bats         bats
    program git          git
    library cmocka       libcmocka-dev
    library openblas     libopenblas-dev
    program ccache       ccache
    program blkparse     blktrace
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

# each COMMAND...: the packages of all needs of which COMMAND KIND WHAT fails.
each() {
    local kind what package
    while read -r kind what package; do
        [ -z "$kind" ] || "$@" "$kind" "$what" || echo "$package"
    done <<< "$needs"
}
has() { "has_$1" "$2"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has_program sudo; then
        sudo "$@"
    else
        die "run this as root, or install sudo: $*"
    fi
}

only_list=no
if [ "${1:-}" = --list ]; then
    only_list=yes
    shift
fi
case ${1:-build} in
    build) needs=$needs_to_build ;;
    demo) needs=$needs_to_build$needs_for_python ;;
    llama) needs=$needs_to_build$needs_for_llama ;;
    test) needs=$needs_to_build$needs_to_test ;;
    aarch64) needs=$needs_to_build$needs_to_test$needs_to_cross ;;
    *) die "usage: install-deps.sh [--list] [build | demo | llama | test | aarch64]" ;;
esac
if [ $only_list = yes ]; then
    each false
    exit
fi
packages=$(each has | tr '\n' ' ')
[ -n "$packages" ] || exit 0
has_program apt-get || die "please install these packages (Debian's names): $packages"
say "installing $packages"
one_at_a_time install-deps
quietly as_root apt-get -qq update || say "could not update the package lists; trying without"
# shellcheck disable=SC2086 # a list
quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages ||
    die "could not install $packages"
left=$(each has | tr '\n' ' ')
[ -z "$left" ] || die "installed, but not usable: $left"
