# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For tests that run a real llama.cpp under `tat run --memory` and do something to it: the text is compared with the plain run's.

load common

models=("SmolLM2-135M-Instruct.Q4_1.gguf 90MB" "SmolLM2-8x2.gguf 200MB")
samplings=("--temp 0" "--temp 0.9 --seed 7")
unset TAT_RECORD

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir tmp
    export TMPDIR=$PWD/tmp
    model "${models[0]% *}"
    model "${models[1]% *}"
    started=()
}

teardown() {
    ! mountpoint -q disk || umount disk || umount -l disk
    [ -z "${loop:-}" ] || losetup -d "$loop"
    [ -z "${slow:-}" ] || rmdir "$slow" || true
}

# prepare MODEL SAMPLING...: the command, and in $plain_text what it prints. MODEL is $source, or a copy of it.
prepare() {
    command=("$program" -m "$1" "${plain[@]}" -c 512 -t 2 --ignore-eos -n "${tokens:-12}" -p "The capital of France is" "${@:2}")
    plain_text=$BATS_FILE_TMPDIR/$(cksum <<< "${source##*/} ${command[*]:3}" | tr ' ' -)
    [ -e "$plain_text" ] || {
        "${command[@]}" < /dev/null > "$plain_text.new" 2> plain.err
        mv "$plain_text.new" "$plain_text"
    }
}

# run_under TAT-OPTION... -- [WRAPPER...]: starts it. $tat: the process.
run_under() {
    local told=()
    while [ "$1" != -- ]; do
        told+=("$1")
        shift
    done
    LD_PRELOAD=${preload:-} "$TAT" run --memory "$limit" "${told[@]}" -- "${@:2}" "${command[@]}" < /dev/null > text 2> talk 3>&- &
    tat=$!
}

# begun [CHARACTERS]: it has printed that many, or has ended.
begun() {
    while [ "$(stat -c %s text)" -lt "${1:-1}" ] && kill -0 $tat 2> /dev/null; do sleep 0.02; done
}

# The process that computes.
host() { pgrep -f "^$program -m" -s 0 -P "$tat" 2> /dev/null || pgrep -P "$tat" -x llama-completio; }

# ended STATUS...: with one of them, and the text as far as it goes is right; whole, if the status is 0.
ended() {
    status=0
    wait $tat || status=$?
    grep '^tat' talk || true
    [[ " $* " == *" $status "* ]] || {
        tail -5 talk
        return 1
    }
    [ "$status" -eq 0 ] || {
        local part
        part=$(< text)
        printf %s "${part%$'\n'Interrupted by user}" > part # which llama-completion adds
        cmp -n "$(stat -c %s part)" "$plain_text" part
        return
    }
    ends_early "$plain_text" text || cmp "$plain_text" text
}

# Programs of this test that still run.
running() {
    local environment
    for environment in $(env -u TMPDIR grep -lszx "TMPDIR=$TMPDIR" /proc/[0-9]*/environ); do
        [[ $(readlink "${environment%/*}/exe") != */llama-* ]] || echo "${environment//[!0-9]/}"
    done
}

# nothing_left: of cgroups, folders, files, processes.
nothing_left() {
    [ -z "$(running)" ]
    [ -z "$(find /sys/fs/cgroup -type d -name "tat-*$tat*" 2> /dev/null)" ]
    [ -z "$(ls -A tmp)" ]
}

was_managed() {
    grep -q '^tat run: managing ' talk
    ! grep -q 'stopped managing' talk
}

# each FUNCTION: for all models and samplings. It finds $source, the model, $limit and $sampling.
each() {
    local model sampling
    for model in "${models[@]}"; do
        for sampling in "${samplings[@]}"; do
            source=$MODELS/${model% *} limit=${model#* }
            read -r -a sampling <<< "$sampling"
            echo "== ${model% *} ${sampling[*]}"
            "$@"
        done
    done
}

# preloaded C: is loaded into the program, and makes itself felt there only.
preloaded() {
    local headers="errno.h fcntl.h pthread.h sched.h signal.h stdarg.h stddef.h stdio.h stdlib.h string.h unistd.h sys/mman.h
        sys/prctl.h sys/resource.h sys/stat.h sys/syscall.h sys/uio.h sys/wait.h linux/filter.h linux/seccomp.h dlfcn.h"
    printf '%s\n' '#define _GNU_SOURCE' $(printf '#include<%s> ' $headers) \
        'static int here(void) { return strncmp(program_invocation_short_name, "llama", 5) == 0; }' "$1" > more.c
    "${CC:-cc}" -shared -fPIC -o more.so more.c
    preload=$PWD/more.so
}

# forbidding CALL: the constructor that has the kernel refuse it.
forbidding() {
    echo "__attribute__((constructor)) static void forbid_$1(void) {
        struct sock_filter f[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_$1, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog p = { 4, f };
        if (here() && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))) { abort(); } }"
}

# Every nth read that goes past libc fails, and others are short.
failing_reads() {
    echo "ssize_t preadv64(int fd, const struct iovec * part, int n, off_t at) {
        static unsigned calls;
        const unsigned call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
        struct iovec first = *part;
        if (here() && call % $1 == 0) { errno = EIO; return -1; }
        if (here() && call % 3 == 0) { n = 1; if (first.iov_len > 8192) { first.iov_len = 4096; } }
        return syscall(SYS_preadv, fd, n == 1 ? &first : part, n, at, 0); }"
}

# in_the_middle FUNCTION STATUS...: of a copy of the model, with enough tokens that it is not over by then. The first STATUS is that
# of a run which goes on.
in_the_middle() {
    local tokens=40
    cp "$source" copy.gguf
    prepare "$PWD/copy.gguf" "${sampling[@]}"
    run_under ${told:-} --
    begun 20
    "$1"
    ended "${@:2}"
    nothing_left
    rm -f copy.gguf other.gguf
}

# group FILE VALUE: of the cgroup in which the program is, of either version.
group() {
    local at
    at=$(sed -n 's/^[0-9]*:memory:/\/sys\/fs\/cgroup\/memory/p' "/proc/$(host)/cgroup")
    if [ -n "$at" ]; then
        echo "$2" > "$at/$1"
    else
        at=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(host)/cgroup")
        echo "$2" > "$at/memory.max"
    fi
}
