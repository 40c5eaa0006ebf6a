#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# `tat run --memory` around a real llama.cpp, whatever happens meanwhile: a dense model and one with experts, each greedily and with
# a seed. The text is that of the plain run, byte for byte, or the beginning of it where the program ends early. What quick tests
# of managed.bats tell the library itself is done here from outside. It takes minutes: `make test-long` runs it.

load faults

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
    left=$(host)
    kill -KILL $tat
    while kill -0 "$left" 2> /dev/null; do sleep 0.1; done
    cmp -n "$(stat -c %s text)" "$plain_text" text
    "$TAT" run --memory 300MB -- true 2> talk || true # which removes what was left
    [ -z "$(find /sys/fs/cgroup -type d -name "tat-*$tat*")" ]
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
