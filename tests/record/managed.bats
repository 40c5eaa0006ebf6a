#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# A real llama.cpp whose model's memory is managed: each text is that of the plain run, byte for byte, whatever is in the way.
# MANAGER is the library; it is told less memory than the model takes, so no test but those of cgroups needs root.

load common
load ../wheels

dense=SmolLM2-135M-Instruct.Q4_1.gguf
experts=SmolLM2-8x2.gguf
short="The capital of France is"
long=$prompt
all=pin+stream+cache

setup() {
    cd "$BATS_TEST_TMPDIR"
    export TAT_RECORD=0
    plain+=(-c 512)
    prompt=$short
    preload=$MANAGER
    mkfifo report
    exec {fifo}<> report
}

# plain_text COMMAND...: in $plain_text. Computed once for all tests that want it.
plain_text() {
    plain_text=$BATS_FILE_TMPDIR/$(cksum <<< "$*" | tr ' ' -)
    [ -e "$plain_text" ] || {
        "$@" < /dev/null > "$plain_text.new" 2> plain.err || { cat plain.err; return 1; }
        mv "$plain_text.new" "$plain_text"
    }
}

# managed OPTIONS COMMAND...: the same text as without; what the library said is in the file said. OPTIONS are TAT_MANAGE's.
managed() {
    local told=$1
    shift
    for _ in {1..10}; do
        plain_text "$@"
        env LD_PRELOAD="$preload" TAT_MANAGE="$told;check=1;report=$PWD/report" "$@" < /dev/null > text 2> talk || {
            cat talk
            return 1
        }
        dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
        ends_early "$plain_text" text || break
        rm "$plain_text"
    done
    cat said
    cmp "$plain_text" text
}

# completion_managed OPTIONS ARGUMENT...
completion_managed() {
    managed "$1" "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$prompt" -n "${tokens:-4}" "${@:2}"
}

# value KEY: of the line with which it ended.
value() { sed -n "s/^[0-9]* end .*\\b$1=\\([0-9]*\\).*/\\1/p" said; }

# It worked until the end: pieces were read, and each was the file's.
was_managed() {
    grep -q '^[0-9]* begin ' said
    [ "$(value checked)" -gt 0 ]
    [ "$(value wrong) $(value errors) $(value handed_back)" = "0 0 0" ]
}

@test "managed: a dense model, by each strategy, reader and number of threads" {
    model $dense
    completion_managed "memory=110000000;strategy=pin;reader=threads" -t 1 && was_managed
    completion_managed "memory=110000000;strategy=stream;reader=uring" -t 1 && was_managed
    completion_managed "memory=110000000;strategy=pin+stream;reader=threads" -t 4 && was_managed
    completion_managed "memory=110000000;strategy=$all;reader=uring" -t 4 && was_managed
}

@test "managed: a model with experts, by each strategy, reader and number of threads" {
    model $experts
    completion_managed "memory=250000000;strategy=pin;reader=uring" -t 4 && was_managed
    completion_managed "memory=250000000;strategy=stream;reader=threads" -t 4 && was_managed
    completion_managed "memory=250000000;strategy=cache;reader=uring" -t 1 && was_managed
    completion_managed "memory=180000000;strategy=$all;reader=threads" -t 1 && was_managed
}

# Pieces were in the page cache, and what was done about them went well.
was_kept() {
    grep -q "^[0-9]* begin .* ahead=$1 " said
    [ "$(value loads)" -gt 0 ]
    [ "$(value errors) $(value handed_back)" = "0 0" ]
    [ $((20 * $(value given_up))) -lt "$(value loads)" ] # while memory is given back, a piece can lack room
}

@test "managed: by each of the kernel's means, in the page cache" {
    model $dense
    completion_managed "memory=110000000;strategy=lock" -t 2 && was_kept populate
    completion_managed "memory=110000000;strategy=stream+willneed" -t 1 && was_kept willneed
    completion_managed "memory=110000000;strategy=lock+pread" -t 4 && was_kept pread
    model $experts
    completion_managed "memory=180000000;strategy=lock+willneed" -t 2 && was_kept willneed
    completion_managed "memory=180000000;strategy=populate" -t 2 && was_kept populate
}

@test "managed: experts are foreseen, by each method and by routers of several kinds" {
    for each in "$experts 180 router" "$experts 180 previous" "$experts 180 markov" "random-qwen2moe.gguf 80 router" \
        "random-gpt-oss.gguf 70 router" "random-deepseek2.gguf 50 router"; do
        read -r name limit method <<< "$each"
        model "$name"
        completion_managed "memory=${limit}000000;strategy=$all;foresee=$method" -t 2
        ! grep -q ' begin ' said || was_managed
        [ "$name" != $experts ] || [ "$(value foreseen)" -gt 0 ]
        [ "$name" != $experts ] || [ "$(value foreseen_right)" -gt 0 ]
        [ "$name" != $experts ] || [ "$(value ahead_read)" -gt 0 ]
    done
}

@test "managed: a prompt of more than 100 tokens, in several graphs" {
    model $experts
    prompt="$long $long $long" tokens=2
    completion_managed "memory=200000000;strategy=$all" -t 2 -ub 64 && was_managed
}

@test "managed: where there is nothing to manage, nothing is changed" {
    model $dense
    for arguments in "-lm none" "-lm dio" "-lm mmap+mlock"; do
        completion_managed "memory=110000000;strategy=$all" -t 2 $arguments
        ! grep -q ' begin ' said || return 1
        why="note not managed: the model's weights are not in a mapping of its file"
        [ "$arguments" != "-lm mmap+mlock" ] || why="refused errno=95"
        [ "$(grep -c "$why" said)" -eq 1 ]
    done
    completion_managed "memory=110000000;strategy=cache" -t 2
    grep -q "note not managed: the model has no experts to cache" said
    completion_managed "memory=8000000000;strategy=$all" -t 2
    grep -q " fits bytes=[0-9]*$" said
    completion_managed "memory=40000000;strategy=$all" -t 2
    grep -q " short limit=40000000 left=[0-9]*$" said
}

@test "managed: other architectures and a split model" {
    some=0
    for each in "random-qwen2moe 80" "random-gpt-oss 70" "random-mamba 50" "random-llama-split-00001-of-00003 60" \
        "random-deepseek2 50"; do
        model "${each% *}.gguf"
        completion_managed "memory=${each#* }000000;strategy=$all" -t 2
        ! grep -q ' begin ' said || { was_managed && some=$((some + 1)); }
    done
    [ "$some" -ge 2 ] # the others fit, page cache and all, where a pool has room
}

@test "managed: llama-bench" {
    model $dense
    env LD_PRELOAD="$MANAGER" TAT_MANAGE="memory=110000000;check=1;report=$PWD/report" "$LLAMA/llama-bench" -m "$model" \
        -p 16 -n 4 -r 1 -t 2 -o json > bench.json 2> talk
    dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
    cat said
    was_managed
    [ "$(grep -c avg_ts bench.json)" -eq 2 ]
}

@test "managed: older versions, and a model freed and another one loaded in one process" {
    for name in llama-cpp-cffi-0.1.20 xllamacpp-2026.10.11549; do
        of_wheel $name $dense,$experts "$short" 4 --threads 1
        managed "memory=110000000;strategy=$all" "${command[@]}"
        was_managed
    done
}

@test "managed: the run is recorded at the same time, and weights are named by their place in the file" {
    model $experts
    mkdir trace
    unset TAT_RECORD
    TAT_RUN_DIR=$PWD/trace completion_managed "memory=180000000;strategy=$all" -t 2 && was_managed
    run -0 "$TAT" verify trace
    echo "$output"
    weights=$("$TAT" gguf "$model" | awk '$1 == "tensors" { print int($2) }')
    grep -qE "^offsets +good +$weights weights" <<< "$output"
}

@test "managed: plain mmap takes over where it is faster" {
    model $dense
    tokens=40 completion_managed "memory=110000000;strategy=$all;plain=1" -t 1 # nanoseconds a token
    grep -qE "^[0-9]+ handed_back managed=[0-9]+ plain=[0-9]+ tokens=32$" said
    [ "$(value wrong) $(value errors) $(value handed_back)" = "0 0 1" ]
    [ $(($(value tokens) + $(value after_tokens))) -eq 39 ] # those after it are counted apart
}

@test "managed: the program computes in a child of its own" {
    model $dense
    cat > forking.py << 'PY'
import os, subprocess, sys
sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.fork() or os._exit(subprocess.call(sys.argv[1:])), 0)[1]))
PY
    managed "memory=110000000;strategy=$all" python3 forking.py "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos \
        -p "$short" -n 4 -t 2
    was_managed
}

# ---- what is in the way ----

# preloaded C: also preloads a library that is made of this.
preloaded() {
    local headers="errno.h fcntl.h pthread.h sched.h signal.h spawn.h stdarg.h stddef.h stdio.h stdlib.h string.h unistd.h sys/mman.h
        sys/prctl.h sys/resource.h sys/stat.h sys/syscall.h sys/time.h sys/wait.h linux/filter.h linux/seccomp.h"
    printf '%s\n' '#define _GNU_SOURCE' $(printf '#include<%s> ' $headers) "$1" > more.c
    "${CC:-cc}" -shared -fPIC -o more.so more.c
    preload="$MANAGER $PWD/more.so"
}

@test "managed: a model that cannot be read past the page cache" {
    [ "$(stat -f -c %T /dev/shm 2> /dev/null)" = tmpfs ] || skip "no tmpfs at /dev/shm"
    model $dense
    copy=$(mktemp /dev/shm/tat.XXXXXX)
    cp "$model" "$copy"
    model=$copy completion_managed "memory=110000000;strategy=$all" -t 2 || {
        rm "$copy"
        return 1
    }
    rm "$copy"
}

@test "managed: io_uring is forbidden" {
    model $experts
    preloaded '__attribute__((constructor)) static void forbid(void) {
        struct sock_filter f[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog p = { 4, f };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) { abort(); } }'
    completion_managed "memory=180000000;strategy=$all" -t 2 && was_managed
    grep -q "reader=threads" said
}

@test "managed: io_uring is forbidden while it reads" {
    model $dense
    # After two tokens, for all threads.
    preloaded 'int fflush(FILE * f) {
        static int printed;
        struct sock_filter f_[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
        struct sock_fprog p = { 4, f_ };
        if (f == stdout && ++printed == 2 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p))) { abort(); }
        return fflush_unlocked(f); }'
    tokens=8 completion_managed "memory=110000000;strategy=$all" -t 2 && was_managed # by threads
    grep -q " reader=uring " said
}

@test "managed: signals a thousand times a second, and children of all kinds" {
    model $experts
    # The handlers map and unmap memory, and system calls are interrupted.
    preloaded 'static void handle(int s) { munmap(mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192); }
        static int child(void * unused) { return 0; }
        static void * spawn(void * unused) {
            static char stack[65536] __attribute__((aligned(16)));
            for (;;) {
                pid_t p = vfork();
                if (p == 0) { _exit(0); }
                waitpid(p, NULL, 0);
                waitpid(clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL), NULL, 0);
                if (posix_spawn(&p, "/bin/true", NULL, NULL, (char *[]){ "true", NULL }, (char *[]){ NULL }) == 0) { waitpid(p, NULL, 0); }
                p = fork();
                if (p == 0) { _exit(0); }
                waitpid(p, NULL, 0);
                usleep(5000);
            } }
        int fflush(FILE * f) {
            static int begun;
            const struct sigaction a = { .sa_handler = handle };
            const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
            pthread_t thread;
            if (f == stdout && !begun++) {
                sigaction(SIGALRM, &a, NULL);
                sigaction(SIGPROF, &a, NULL);
                setitimer(ITIMER_REAL, &often, NULL);
                setitimer(ITIMER_PROF, &often, NULL);
                pthread_create(&thread, NULL, spawn, NULL);
            }
            return fflush_unlocked(f); }'
    completion_managed "memory=180000000;strategy=$all" -t 2 && was_managed
}

@test "managed: threads that compute are cancelled in the middle of a graph" {
    model $dense
    # Two of the graphs, which are then computed once more.
    preloaded '#include <dlfcn.h>
        static _Thread_local int ends;
        static void * sched, * graph;
        static void * real(const char * name) { return dlsym(RTLD_NEXT, name); }
        long ggml_nrows(const void * tensor) {
            if (ends && --ends == 0) { pthread_cancel(pthread_self()); pthread_testcancel(); }
            return ((long (*)(const void *)) real("ggml_nrows"))(tensor); }
        static int compute(void) { return ((int (*)(void *, void *)) real("ggml_backend_sched_graph_compute_async"))(sched, graph); }
        static void * until(void * unused) { ends = 30; compute(); return NULL; }
        int ggml_backend_sched_graph_compute_async(void * s, void * g) {
            static int calls;
            pthread_t thread;
            void * how;
            sched = s, graph = g, calls++;
            if (calls == 2 || calls == 4) {
                if (pthread_create(&thread, NULL, until, NULL) || pthread_join(thread, &how) || how != PTHREAD_CANCELED) { abort(); }
            }
            return compute(); }'
    completion_managed "memory=110000000;strategy=$all" -t 1 && was_managed
    [ "$(value tokens)" -ge 3 ]
}

@test "managed: the program jumps out of a graph" {
    model $dense
    # Out of two of the graphs, which are then computed once more.
    preloaded '#include <dlfcn.h>
        #include <setjmp.h>
        static int ends;
        static jmp_buf out;
        static void * real(const char * name) { return dlsym(RTLD_NEXT, name); }
        long ggml_nrows(const void * tensor) {
            if (ends && --ends == 0) { longjmp(out, 1); }
            return ((long (*)(const void *)) real("ggml_nrows"))(tensor); }
        int ggml_backend_sched_graph_compute_async(void * s, void * g) {
            static int calls;
            calls++;
            if (!setjmp(out) && (calls == 2 || calls == 4)) { ends = 30; }
            return ((int (*)(void *, void *)) real("ggml_backend_sched_graph_compute_async"))(s, g); }'
    completion_managed "memory=110000000;strategy=$all" -t 1 && was_managed
    [ "$(value tokens)" -ge 3 ]
}

@test "managed: no memory may be locked, and descriptors are closed by the program" {
    model $experts
    # The program closes what it has not opened each time that it prints. What watches the memory has descriptors of its own: in
    # the program's table, where 300 is open, the process is looked at only to begin.
    preloaded '__attribute__((constructor)) static void begin(void) {
        const struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_MEMLOCK, &none);
        dup2(1, 300); }
        int open64(const char * path, int flags, ...) {
            static int looked;
            va_list more;
            va_start(more, flags);
            const int mode = va_arg(more, int);
            va_end(more);
            if (strcmp(path, "/proc/self/status") == 0 && fcntl(300, F_GETFD) >= 0 && ++looked > 2) { abort(); }
            return syscall(SYS_openat, AT_FDCWD, path, flags, mode); }
        int fflush(FILE * f) {
            for (int fd = 3; fd < 256; fd++) { /* but the model, which it is reading */
                struct stat file;
                if (fstat(fd, &file) == 0 && !S_ISREG(file.st_mode)) { syscall(SYS_close, fd); }
            }
            return fflush_unlocked(f); }'
    completion_managed "memory=180000000;strategy=$all" -t 2 && was_managed
}

@test "managed: there are almost as many mappings as may be" {
    model $experts
    preloaded '__attribute__((constructor)) static void fill(void) {
        const size_t page = 4096, most = 64500;
        char * at = mmap(NULL, most * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (size_t i = 0; i < most; i += 2) { mprotect(at + i * page, page, PROT_READ); } }'
    completion_managed "memory=180000000;strategy=$all" -t 2
}

@test "managed: no /proc" {
    [ "$(id -u)" = 0 ] || skip "mounting a file system takes root"
    unshare -m mount -t tmpfs none /proc || skip "no file system can be mounted here"
    model $dense
    managed "memory=110000000;strategy=$all" unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh \
        "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$short" -n 4 -t 2
    grep -q "note not managed: /proc/self/maps cannot be read" said
}

@test "managed: the file is truncated meanwhile: the program's own error, or its own text" {
    cp "$MODELS/$dense" short.gguf
    model=$PWD/short.gguf
    plain_text "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$prompt" -n 60 -t 2
    status=0
    env LD_PRELOAD="$MANAGER" TAT_MANAGE="memory=110000000;report=$PWD/report" "$program" -m "$model" --temp 0 "${plain[@]}" \
        --ignore-eos -p "$prompt" -n 60 -t 2 < /dev/null > text 2> talk &
    until [ "$(stat -c %s text)" -ge 20 ]; do kill -0 $! && sleep 0.05 || break; done
    truncate -s 1M short.gguf
    wait $! || status=$?
    cat talk | tail -3
    [ "$status" -eq 0 ] || [ "$status" -eq 135 ] # SIGBUS, as without
    begins_alike "$plain_text" text
}

# on_disk: begins the managed program in the group whose reads are slowed, and waits for its first words.
on_disk() {
    bash -c 'echo $$ > '"$blkio"'/cgroup.procs; exec "$@"' bash env LD_PRELOAD="$MANAGER" \
        TAT_MANAGE="memory=110000000;report=$PWD/report" "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos \
        -p "$prompt" -n "$1" -t 2 < /dev/null > text 2> talk &
    until [ -s text ]; do kill -0 $! && sleep 0.05 || break; done
}

@test "managed: the disk becomes ten times slower" {
    model $dense
    plain_text "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$prompt" -n 5 -t 2
    slow_disk
    slow 800000000
    on_disk 5
    slow 80000000
    wait $!
    ends_early "$plain_text" text || cmp "$plain_text" text
    dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
    cat said
    [ "$(value errors)" -eq 0 ]
}

@test "managed: the disk fails: the program's own error, or its own text" {
    model $dense
    plain_text "$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$prompt" -n 60 -t 2
    slow_disk
    status=0
    on_disk 60
    truncate -s 1M image # what is read behind that is EIO
    wait $! || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 135 ] # SIGBUS, as without
    begins_alike "$plain_text" text
}

@test "managed: killed, it leaves nothing behind" {
    model $dense
    env LD_PRELOAD="$MANAGER" TAT_MANAGE="memory=110000000;report=$PWD/report" "$program" -m "$model" --temp 0 "${plain[@]}" \
        --ignore-eos -p "$prompt" -n 400 -t 2 < /dev/null > text 2> talk &
    until [ -s text ]; do kill -0 $! && sleep 0.05; done
    kill -STOP $!
    grep -q "memfd:tat-pool" /proc/$!/maps
    ! grep -q /dev/shm /proc/$!/maps || return 1 # nothing that has a name, and would stay
    ! readlink /proc/$!/fd/* | grep /dev/shm || return 1
    kill -KILL $!
    ! wait $! || return 1
    ! grep -l "$PWD" /proc/[0-9]*/maps 2> /dev/null || return 1
}

# ---- a server ----

@test "managed: a server with two slots answers two at once as it does unmanaged" {
    [ -x "$LLAMA/llama-server" ] || skip "no llama-server: scripts/get-llama.sh 0.3.36 llama-server makes one"
    model $experts
    port=$(unused_port)
    for told in "" "memory=250000000;check=1;report=$PWD/report"; do
        env LD_PRELOAD="${told:+$MANAGER}" TAT_MANAGE="$told" "$LLAMA/llama-server" -m "$model" --host 127.0.0.1 \
            --port "$port" -t 2 -np 2 -c 1024 2> talk 3>&- &
        server=$!
        until python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health')" 2> /dev/null; do
            kill -0 $server
            sleep 0.1
        done
        python3 "$BATS_TEST_DIRNAME/ask_server.py" "$port" meanwhile 8 "$short" 4 "Once upon a time" > "answers${told:+.managed}"
        kill -TERM $server
        wait $server
    done 2>&1
    dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
    cat said
    was_managed
    cmp answers answers.managed
}

# ---- cgroups ----

# forget FILE: the page cache keeps nothing of it.
forget() { python3 -c 'import os; fd = os.open("'"$1"'", os.O_RDONLY); os.fsync(fd); os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)'; }

# in_group LIMIT COMMAND...: in a memory cgroup; prints the bytes read.
in_group() {
    local v1=/sys/fs/cgroup/memory
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    [ -e $v1/memory.limit_in_bytes ] || skip "no cgroup of version 1"
    group=$v1/tat-test-$$-$RANDOM
    mkdir "$group" 2> /dev/null || skip "no cgroup can be made"
    echo "$1" > "$group/memory.limit_in_bytes"
    python3 - "$group" "${@:2}" << 'PY'
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=open("text", "wb"), stderr=open("talk", "w"),
                      preexec_fn=lambda: open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid())))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock * 512)
sys.exit(done.returncode != 0)
PY
}

# slow_disk: a disk of its own at the folder disk, with the dense model. `slow BYTES` limits what a second reads of it.
slow_disk() {
    blkio=/sys/fs/cgroup/blkio
    [ "$(id -u)" = 0 ] && [ -e $blkio/blkio.throttle.read_bps_device ] || skip "no disk can be slowed down"
    truncate -s 130M image
    mkfs.ext4 -q -F image 2> /dev/null || skip "no mkfs.ext4"
    loop=$(losetup -f --show --direct-io=on image 2> /dev/null) || skip "no loop device"
    mkdir disk
    mount "$loop" disk
    blkio=$blkio/tat-test-$$
    mkdir $blkio
    cp "$MODELS/$dense" disk/model.gguf
    model=$PWD/disk/model.gguf
    sync -f disk
}

slow() { echo "$(cat "/sys/block/${loop##*/}/dev") $1" > "$blkio/blkio.throttle.read_bps_device"; }

teardown() {
    ! mountpoint -q disk || umount disk || umount -l disk # a program that still ends may have a file there
    [ -z "${loop:-}" ] || losetup -d "$loop"
    ! compgen -G "/sys/fs/cgroup/blkio/tat-test-$$" > /dev/null || rmdir /sys/fs/cgroup/blkio/tat-test-$$
    [ -z "${server:-}" ] || kill -KILL "$server" 2> /dev/null || true
    ! compgen -G "/sys/fs/cgroup/memory/tat-test-$$-*" > /dev/null || rmdir /sys/fs/cgroup/memory/tat-test-$$-*
}

@test "managed: in a memory cgroup: not killed, the same text, and far fewer bytes than with mmap" {
    for each in "$dense 100000000 90" "$experts 200000000 50"; do # and how many of a hundred
        cp "$MODELS/${each%% *}" model.gguf
        command=("$program" -m "$PWD/model.gguf" --temp 0 "${plain[@]}" --ignore-eos -p "$short" -n 8 -t 2)
        plain_text "${command[@]}"
        forget model.gguf
        read -r name limit percent <<< "$each"
        before=$(in_group "$limit" "${command[@]}")
        for _ in {1..10}; do
            forget model.gguf
            managed=$(in_group "$limit" env LD_PRELOAD="$MANAGER" TAT_MANAGE="memory=0;check=0;report=$PWD/report" \
                "${command[@]}")
            ends_early "$plain_text" text || break
        done
        cmp "$plain_text" text
        dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
        cat said
        echo "$before $managed"
        [ "$managed" -lt $((before * percent / 100)) ]
    done
}

@test "managed: the limit of its cgroup is raised as soon as it has begun" {
    cp "$MODELS/$experts" model.gguf
    model=$PWD/model.gguf
    preloaded 'static void * raise_limit(void * unused) {
            char line[512], path[600] = "";
            for (int pool = 0; !pool; usleep(1000)) {
                FILE * maps = fopen("/proc/self/maps", "r");
                while (fgets(line, sizeof line, maps)) { pool |= strstr(line, "memfd:tat-pool") != NULL; }
                fclose(maps);
            }
            FILE * groups = fopen("/proc/self/cgroup", "r");
            while (fgets(line, sizeof line, groups)) {
                char * at = strstr(line, ":memory:");
                if (at) { snprintf(path, sizeof path, "/sys/fs/cgroup/memory%.*s/memory.limit_in_bytes", (int) strcspn(at + 8, "\n"), at + 8); }
            }
            fclose(groups);
            const int fd = open(path, O_WRONLY);
            if (write(fd, "400000000", 9) != 9) { abort(); }
            return NULL; }
        __attribute__((constructor)) static void begin(void) {
            pthread_t thread;
            if (getenv("TAT_MANAGE")) { pthread_create(&thread, NULL, raise_limit, NULL); } }'
    command=("$program" -m "$model" --temp 0 "${plain[@]}" --ignore-eos -p "$short" -n 12 -t 2)
    plain_text "${command[@]}"
    forget model.gguf
    in_group 200000000 env LD_PRELOAD="$preload" TAT_MANAGE="memory=0;report=$PWD/report" "${command[@]}"
    dd if=report iflag=nonblock of=said 2> /dev/null <&$fifo || true
    cat said
    ends_early "$plain_text" text || cmp "$plain_text" text
    [ $((20 * $(value given_up))) -lt "$(value loads)" ] # no piece has a place where there is no memory
}

@test "managed: the benchmark with few cells" {
    [ "$(id -u)" = 0 ] || skip "memory cgroups need root"
    [ -e "$MODELS/random-qwen2moe.gguf" ] || skip "no random-qwen2moe.gguf: scripts/get-fixtures.sh makes it"
    cp "$MODELS/random-qwen2moe.gguf" model.gguf
    run --separate-stderr python3 "$BATS_TEST_DIRNAME/../../bench/optimise.py" --rounds 1 --shares 50 --part-shares 50 --totals "" \
        --ways mmap,pin,all --tokens 4 "$TAT" "$MANAGER" "$LLAMA" model.gguf
    echo "$output" "$stderr"
    [ "$status" -eq 0 ]
    figure='[0-9][0-9,.]*'
    [ "$(grep -cE "^\| 50 % \([0-9]+ MiB\) \| (mmap|pin|all) \| 1 \| $figure" <<< "$output")" -eq 3 ]
    [[ $output == *"All 3 texts were those of runs with enough memory, byte for byte"* ]]
}
