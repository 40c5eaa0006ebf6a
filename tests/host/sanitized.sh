#!/bin/sh
# usage: sanitized.sh BUILD SANITIZERS [SOURCE]
# Runs agent and host, what manages memory, and the server of `tat view`, built with a sanitizer, in the ways in which threads can
# meet. With SOURCE, builds them first, in BUILD. The agent is linked before ggml, not preloaded, because a sanitizer's library must come first; the interposition is
# the same. The unit tests cover the readers of traces under AddressSanitizer.
set -eu
build=$1 sanitizers=$2 source=${3:-}
manage="test_resident test_resident_ahead test_resident_walk test_resident_page_cache test_manage_reader test_manage_cover"
serve="test_serve test_serve_grows"

if [ -n "$source" ]; then
    cmake -S "$source" -B "$build" -G Ninja -DTAT_TESTS=ON -DTAT_SANITIZE="$sanitizers" -DTAT_WERROR=ON -DTAT_PAGE=OFF \
        > "$build.log"
    ninja -C "$build" fake_host_linked fake_host_exact fake_host_loader_linked fake_plugin1 fake_plugin3 check_trace \
        $manage $serve >> "$build.log" || { tail -n 40 "$build.log"; exit 1; }
fi

# What the agent keeps for the life of a process is not a leak; after a fork, the child leaves the parent's part behind.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

host=$build/tests/host/fake_host_linked
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The host exits and forks with threads running, on purpose. Threads that read models and manage memory have descriptors of
# their own (src/agent/apart.c); ThreadSanitizer takes one for another's where both have the same number.
printf 'race:%s\n' open_apart resident_open resident_close resident_files_are_same is_like_file read_through map_count_ \
    > "$work/suppressions"
export TSAN_OPTIONS=halt_on_error=1:report_thread_leaks=0:die_after_fork=0:suppressions=$work/suppressions

"$host" --write "$work/toy.gguf"

# AddressSanitizer's malloc, unlike libc's, may leave a child of fork waiting for a lock that another thread held.
case $sanitizers in
*address*) still=--still ;;
*) still= ;;
esac

# hung STATUS OPTION...: ThreadSanitizer does not support threads in the child of a process with threads, and hangs there once
# in some hundred times. Only that is tried again, once.
hung() {
    case "$1 $sanitizers $*" in
    "124 thread "*--fork*) echo "it hung, and is tried again" ;;
    *) exit "$1" ;;
    esac
    shift
    rm -rf "$work/traces"
    TAT_DIR="$work/traces" timeout 300 "$host" "$@" "$work/toy.gguf" > "$work/seen"
}

# try OPTION...: expects the same output with and without recording, and a consistent trace. Names what hangs.
try() {
    echo "== $*"
    rm -rf "$work/traces"
    TAT_OFF=1 timeout 300 "$host" "$@" "$work/toy.gguf" > "$work/plain"
    TAT_DIR="$work/traces" timeout 300 "$host" "$@" "$work/toy.gguf" > "$work/seen" || hung $? "$@"
    cmp "$work/plain" "$work/seen"
    "$build/tests/host/check_trace" "$work/traces" > "$work/facts"
    grep -E '^(emitted|stored|lost) ' "$work/facts"
}

try -c 8 -t 1 -g 70
TAT_TOKENS=9:19 try -c 8 -t 2 -g 70
TAT_TEMPLATES=1 try -c 16 -t 1 -g 240
try -c 8 -t 2 -g 70
try -c 8 -t 2 -g 40 --abort-every 7
try -c 4 -g 40 --detached
try -c 80 -g 2 --gate
try -c 3 -g 70 --fork $still
try -c 8 -g 40 --early-exit

host=$build/tests/host/fake_host_exact
try -c 8 -t 2 -g 70
try -c 8 -t 2 -g 40 --abort-every 7

# Libraries that are loaded at the addresses of others.
host=$build/tests/host/fake_host_loader_linked
plugins=$build/tests/host
try "$plugins/libfake_plugin1.so,$plugins/libfake_plugin3.so,$plugins/libfake_plugin1.so" -c 4 -t 2 -g 20

# What manages memory, with made-up graphs; what answers about a trace that grows. Of other sanitizers' builds, these are unit tests as any.
case $sanitizers in
*thread*)
    for test in $manage $serve; do
        echo "== $test"
        timeout 300 "$build/tests/unit/$test" || { result=$?; [ $result = 77 ] || exit $result; }
    done
    ;;
esac
