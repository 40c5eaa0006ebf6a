#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# `tat run --memory` around a real llama.cpp, whatever happens meanwhile: a dense model and one with experts, each greedily and with
# a seed. The text is that of the plain run, byte for byte, or the beginning of it where the program ends early. What quick tests
# of managed.bats tell the library itself is done here from outside. It takes minutes: `make test-long` runs it.

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

# nothing_left: of cgroups, folders, files.
nothing_left() {
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

# ---- what is there from the beginning ----

plainly() {
    prepare "$source" "${sampling[@]}"
    run_under "$@"
    ended 0
    nothing_left
}

@test "run faults: none" {
    each plainly --check -- && was_managed
}

@test "run faults: reads that are short, and a few that fail" {
    preloaded "$(failing_reads 4000)"
    each plainly --reader threads --check --
}

@test "run faults: every fourth read fails" {
    preloaded "$(failing_reads 4)"
    each plainly --reader threads --
    grep -q "stopped managing" talk
}

@test "run faults: reads past the page cache are refused, and io_uring is, and both" {
    refusing='static int flagged(const char * path, int flags, int mode) {
            if (here() && (flags & O_DIRECT)) { errno = EINVAL; return -1; }
            return syscall(SYS_openat, AT_FDCWD, path, flags, mode); }
        int open64(const char * path, int flags, ...) { va_list l; va_start(l, flags); int m = va_arg(l, int); va_end(l);
            return flagged(path, flags, m); }
        int open(const char * path, int flags, ...) { va_list l; va_start(l, flags); int m = va_arg(l, int); va_end(l);
            return flagged(path, flags, m); }'
    preloaded "$refusing"
    each plainly --check --
    ! grep -q "past the page cache" talk
    preloaded "$(forbidding io_uring_setup)"
    each plainly --check --
    grep -q "read by .*threads" talk
    preloaded "$refusing $(forbidding io_uring_setup)"
    each plainly --check --
}

@test "run faults: calls that map memory are refused" {
    samplings=("${samplings[0]}")
    for call in mremap memfd_create unshare madvise fallocate; do
        echo "== $call"
        preloaded "$(forbidding $call)"
        each plainly --
    done
}

@test "run faults: no memory may be locked, few files opened, or little address space" {
    each plainly -- prlimit --memlock=0
    each plainly -- prlimit --nofile=16
    each plainly -- prlimit --as=1500000000
    for megabytes in 400 600 800 1000; do # where even the plain run fails, it fails in the same way
        source=$MODELS/${models[0]% *} limit=90MB status=0
        prepare "$source" --temp 0
        prlimit --as=${megabytes}000000 "${command[@]}" < /dev/null > bare 2> bare.err || status=$?
        expected=$status
        run_under -- prlimit --as=${megabytes}000000
        ended "$expected"
    done
}

@test "run faults: there are almost as many mappings as may be" {
    preloaded '__attribute__((constructor)) static void fill(void) {
        const size_t page = 4096, most = 64500;
        if (!here()) { return; }
        char * at = mmap(NULL, most * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (size_t i = 0; i < most; i += 2) { mprotect(at + i * page, page, PROT_READ); } }'
    each plainly --check --
}

@test "run faults: no /proc" {
    [ "$(id -u)" = 0 ] || skip "mounting a file system takes root"
    each plainly -- unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh
}

@test "run faults: a model on other file systems" {
    [ "$(id -u)" = 0 ] || skip "mounting a file system takes root"
    for kind in "tmpfs" "ramfs" "ext4 -O ^has_journal -b 1024" "ext4 -b 4096" "btrfs" "overlay"; do
        read -r name options <<< "$kind"
        mkdir -p disk below
        case $name in
            tmpfs | ramfs) mount -t $name -o size=600m none disk || skip "no file system can be mounted here" ;;
            overlay)
                mount -t tmpfs -o size=600m none disk && mkdir -p disk/{a,b,c,d}
                mount --move disk below 2> /dev/null || { umount disk; mount -t tmpfs -o size=600m none below && mkdir -p below/{a,b,c}; }
                cp "$MODELS/${models[0]% *}" "$MODELS/${models[1]% *}" below/a
                mount -t overlay -o lowerdir=below/a,upperdir=below/b,workdir=below/c none disk || { umount below; continue; }
                ;;
            *)
                truncate -s 800M image
                command -v mkfs.$name > /dev/null || continue
                # shellcheck disable=SC2086
                mkfs.$name -q $options image > mkfs.log 2>&1 || { cat mkfs.log; continue; }
                mount -o loop image disk || continue
                ;;
        esac
        echo "=== $kind"
        [ -e disk/"${models[0]% *}" ] || cp "$MODELS/${models[0]% *}" "$MODELS/${models[1]% *}" disk
        each on_disk --check --
        umount disk
        [ "$name" != overlay ] || umount below
        rm -f image
    done
}

on_disk() {
    source=disk/${source##*/}
    plainly "$@"
}

# ---- what happens meanwhile ----

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

replace() { # by a file of the same size
    head -c "$(stat -c %s copy.gguf)" /dev/urandom > other.gguf
    mv other.gguf copy.gguf
}
touch_it() { touch copy.gguf; }
write_same() { dd if="$source" of=copy.gguf bs=1M conv=notrunc status=none; }
append() { echo more >> copy.gguf; }
remove() { rm copy.gguf; }
cut() { truncate -s 1M copy.gguf; }

@test "run faults: the file is replaced, touched, written with the same bytes, made longer, removed" {
    each in_the_middle replace 0
    samplings=("${samplings[1]}")
    for what in touch_it write_same append remove; do
        echo "=== $what"
        each in_the_middle $what 0
    done
}

@test "run faults: the file is cut: SIGBUS as without, or the right text" {
    each in_the_middle cut 0 135
}

stop_and_go() {
    for _ in 1 2 3; do
        kill -STOP "$(host)" || return 0
        kill -CONT "$(host)" || return 0
    done
}
terminate() { kill -TERM "$(host)"; }
interrupt() { kill -INT $tat "$(host)" || true; }
kill_host() { kill -KILL "$(host)"; }

@test "run faults: stopped and continued, terminated, interrupted, killed" {
    each in_the_middle stop_and_go 0
    each in_the_middle terminate 0 143
    each in_the_middle interrupt 0 130
    each in_the_middle kill_host 137
}

@test "run faults: tat itself is killed" {
    tokens=60
    source=$MODELS/${models[1]% *} limit=200MB
    prepare "$source" --temp 0
    run_under --
    begun 20
    kill -KILL $tat
    while pgrep -f "^$program -m" > /dev/null; do sleep 0.1; done
    cmp -n "$(stat -c %s text)" "$plain_text" text
    "$TAT" run --memory 300MB -- true 2> talk || true # which removes what was left
    [ -z "$(find /sys/fs/cgroup -type d -name "tat-*$tat*")" ]
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
tighten() {
    for percent in 97 94 91 88; do group memory.limit_in_bytes $((${limit%MB} * percent * 10000)) || return 0; done
}
raise() {
    group memory.memsw.limit_in_bytes 2000000000 2> /dev/null || true
    group memory.limit_in_bytes 1000000000 || true
}
tighten_and_raise() { tighten && raise && tighten; }

@test "run faults: the limit is tightened, raised, and both" {
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    each in_the_middle tighten 0
    each in_the_middle raise 0
    each in_the_middle tighten_and_raise 0
}

@test "run faults: two at once on one model" {
    two() {
        prepare "$source" "${sampling[@]}"
        run_under --
        "$TAT" run --memory "$limit" -- "${command[@]}" < /dev/null > second 2> second.talk 3>&-
        ended 0
        ends_early "$plain_text" second || cmp "$plain_text" second
        nothing_left
    }
    each two
}

@test "run faults: children are forked and programs started all the time" {
    preloaded 'static void * spawn(void * unused) {
            for (;;) {
                pid_t p = fork();
                if (p == 0) { execlp("true", "true", NULL); _exit(0); }
                waitpid(p, NULL, 0);
                p = vfork();
                if (p == 0) { _exit(0); }
                waitpid(p, NULL, 0);
                usleep(2000);
            } }
        __attribute__((constructor)) static void begin(void) { pthread_t t; if (here()) { pthread_create(&t, NULL, spawn, NULL); } }'
    each plainly --check --
}

@test "run faults: the disk of the trace is full" {
    [ "$(id -u)" = 0 ] || skip "mounting a file system takes root"
    mkdir disk
    full() {
        mount -t tmpfs -o size="$1" none disk || skip "no file system can be mounted here"
        prepare "$source" "${sampling[@]}"
        run_under --record=disk/trace --
        ended 0
        umount disk
    }
    each full 300k
    each full 8k
}

# ---- slow ----

@test "run faults: the disk is ten times slower than before, and meanwhile something else happens" {
    blkio=/sys/fs/cgroup/blkio
    [ "$(id -u)" = 0 ] && [ -e $blkio/blkio.throttle.read_bps_device ] || skip "no disk can be slowed down"
    truncate -s 800M image
    mkfs.ext4 -q -F image
    loop=$(losetup -f --show --direct-io=on image) || skip "no loop device"
    mkdir disk
    mount "$loop" disk
    slow=$blkio/tat-faults-$$
    mkdir "$slow"
    set_rate() { echo "$(cat "/sys/block/${loop##*/}/dev") $1" > "$slow/blkio.throttle.read_bps_device"; }
    for model in "${models[@]}"; do cp "$MODELS/${model% *}" disk; done
    sync -f disk
    slowly() {
        tokens=8
        prepare "$PWD/disk/${source##*/}" "${sampling[@]}"
        set_rate 1000000000
        run_under ${told:-} -- sh -c "echo \$\$ > $slow/cgroup.procs; exec \"\$@\"" sh
        begun
        set_rate 100000000
        "$@"
        ended 0
        nothing_left
    }
    each slowly true
    each slowly tighten
    each slowly stop_and_go
    told="--reader threads" each slowly raise
    preloaded "$(failing_reads 50)"
    told="--reader threads" each slowly true
}
