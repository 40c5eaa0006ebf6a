#!/usr/bin/env bats
# Programs linked in all the ways that decide whether they can be traced. From the environment: TAT, CC.
bats_require_minimum_version 1.5.0

setup_file() {
    cd "$BATS_FILE_TMPDIR"
    echo 'int ggml_graph_compute(void * graph, void * plan) { return graph == plan; }
          #ifndef FORK
          void * ggml_threadpool_new(void * params) { return params; }
          #endif' > ggml-cpu.c
    echo 'int ggml_graph_compute(void *, void *);
          int ggml_backend_graph_compute(void * g) { return ggml_graph_compute(g, 0); }' > ggml-backend.c
    echo 'int ggml_backend_graph_compute(void *); int main(void) { return ggml_backend_graph_compute(0); }' > main.c
    echo 'int main(void) { return 0; }' > none.c
    echo 'int answer;' > other.c
    # linked FOLDER OPTION...: a program and its libggml-cpu.so, made with the options
    linked() {
        mkdir "$1"
        "$CC" -shared -fPIC "${@:2}" ggml-cpu.c ggml-backend.c -o "$1/libggml-cpu.so.1.2.3"
        "$CC" main.c "$1/libggml-cpu.so.1.2.3" -Wl,-rpath,'$ORIGIN' -o "$1/program"
    }
    for folder in open fork symbolic functions; do
        case $folder in
            open) options=() ;;
            fork) options=(-DFORK) ;;
            symbolic) options=(-Wl,-Bsymbolic) ;;
            functions) options=(-Wl,-Bsymbolic-functions) ;;
        esac
        linked $folder -Wl,-soname,libggml-cpu.so.1.2.3 "${options[@]}"
    done
    "$CC" main.c ggml-backend.c ggml-cpu.c -o inside
    "$CC" -shared -fPIC other.c -o other.so
    "$CC" -static main.c ggml-backend.c ggml-cpu.c -o static
    "$CC" none.c -o none
    printf '#!%s/open/program\n' "$PWD" > script
    chmod +x script
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    export TAT_DIR=$BATS_TEST_TMPDIR
}

# says STATUS CHECK VERDICT TEXT: of the last run
says() {
    [ "$status" -eq "$1" ] || { echo "$output"; false; }
    grep -Eq "^$2 +$3 .*$4" <<< "$output" || { echo "$output"; false; }
}

@test "shared libraries, an open call: it can be traced" {
    run "$TAT" doctor open/program
    says 0 ggml good 'libggml-cpu.so.1.2.3, version 1.2.3'
    says 0 hook good 'through the dynamic linker'
    [[ ${lines[-1]} == *"can be traced"* ]]
}

@test "a fork, whose plans are another struct: perhaps" {
    run "$TAT" doctor open/program
    [[ $output != *fork* ]]
    run "$TAT" doctor fork/program
    says 0 hook good 'through the dynamic linker'
    says 0 fork warning 'no thread pools, like forks .*another layout'
}

@test "bound inside by -Bsymbolic and -Bsymbolic-functions: no" {
    for how in symbolic functions; do
        run "$TAT" doctor $how/program
        says 1 hook BAD 'bound inside'
        [[ ${lines[-1]} == *"cannot be traced"* ]]
    done
}

@test "the verdict is true: an open call reaches a preloaded function, a bound one does not" {
    echo 'int ggml_graph_compute(void * g, void * p) { return g == p ? 42 : 43; }' > hook.c
    "$CC" -shared -fPIC hook.c -o hook.so
    LD_PRELOAD=$PWD/hook.so run -42 open/program
    LD_PRELOAD=$PWD/hook.so run -1 symbolic/program
    LD_PRELOAD=$PWD/hook.so run -1 functions/program
}

@test "tat record: its last words are the doctor's, where no graph was seen" {
    echo 'int nothing;' > agent.c
    "$CC" -shared -fPIC agent.c -o agent.so
    TAT_AGENT=$PWD/agent.so run "$TAT" record -- symbolic/program
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == *"no trace: "*"bound inside"*"without -Bsymbolic"* ]]
    TAT_AGENT=$PWD/agent.so run "$TAT" record -- ./inside
    [[ ${lines[-1]} == *"no trace: "*"linked into"*"BUILD_SHARED_LIBS"* ]]
    cp -r open gpu
    cp other.so gpu/libggml-cuda.so
    TAT_AGENT=$PWD/agent.so run "$TAT" record -- gpu/program
    [[ ${lines[-1]} == *"no trace: cuda beside it"*"keep the work on the CPU"* ]]
    TAT_AGENT=$PWD/agent.so run "$TAT" record -- ./none
    [[ ${lines[-1]} == *"computed no graph"*"tat doctor PID"* ]]
    TAT_AGENT=$PWD/agent.so run "$TAT" record -- false
    [[ ${lines[-1]} == *"ended with status 1 before"* ]]
}

@test "a library by itself" {
    run "$TAT" doctor functions/libggml-cpu.so.1.2.3
    says 1 hook BAD 'bound inside'
}

@test "ggml inside the program, with names and without" {
    run "$TAT" doctor ./inside
    says 1 ggml BAD ' linked into'
    echo 'static const char file[] = "/src/ggml-cpu.c"; int main(int n, char ** v) { return file[n] == **v; }' > assert.c
    "$CC" -O0 -s assert.c -o stripped
    run "$TAT" doctor ./stripped
    says 1 ggml BAD 'probably linked into'
}

@test "a static program" {
    run "$TAT" doctor ./static
    says 1 program BAD 'statically linked'
    "$CC" -static-pie none.c -o static-pie
    run "$TAT" doctor ./static-pie
    says 1 program BAD 'statically linked'
}

@test "a program without ggml: unknown, which is not no" {
    run "$TAT" doctor ./none
    says 0 ggml warning 'not in the'
}

@test "a script: what runs it" {
    run "$TAT" doctor ./script
    says 0 script good "is run by $PWD/open/program"
    says 0 hook good ''
    printf '#!/usr/bin/env -S bash -e\n' > by-env
    chmod +x by-env
    run "$TAT" doctor ./by-env
    says 0 script good 'is run by .*/bash'
}

@test "scripts that run each other have an end" {
    printf '#!%s/b\n' "$PWD" > a
    printf '#!%s/a\n' "$PWD" > b
    chmod +x a b
    run "$TAT" doctor ./a
    [ "$status" -eq 3 ]
}

@test "another backend beside it" {
    cp -r open beside
    "$CC" -shared -fPIC other.c -o beside/libggml-blas.so
    cp beside/libggml-blas.so beside/libggml-cuda.so
    run "$TAT" doctor beside/program
    says 0 backends warning '(blas, cuda|cuda, blas)'
}

@test "hashes in the names of a wheel's libraries are no backends" {
    cp -r open wheel
    cp other.so wheel/libggml-684d824a.so
    cp other.so wheel/libggml-base-319ad4fb.so.0.9
    cp other.so wheel/libggml-cpu-0d1e2f3a.so
    run "$TAT" doctor wheel/program
    says 0 hook good ''
    [[ $output != *backends* ]] || { echo "$output"; false; }
    cp other.so wheel/libggml-vulkan-aabbccdd.so
    run "$TAT" doctor wheel/program
    says 0 backends warning 'vulkan beside it'
    [[ $output != *", vulkan"* && $output != *aabbccdd* ]]
}

@test "a CPU backend that is loaded at run time" {
    mkdir late
    cp none late/program
    "$CC" -shared -fPIC -Wl,-Bsymbolic ggml-cpu.c ggml-backend.c -o late/libggml-cpu-haswell.so
    run "$TAT" doctor late/program
    says 1 hook BAD 'bound inside'
}

@test "LD_LIBRARY_PATH: what the dynamic linker takes is what is looked at" {
    for tags in enable disable; do
        "$CC" main.c open/libggml-cpu.so.1.2.3 -Wl,-rpath,"$PWD/open" -Wl,--$tags-new-dtags -o $tags
    done
    LD_LIBRARY_PATH=$PWD/symbolic run "$TAT" doctor ./enable # a runpath comes after it
    says 1 hook BAD 'bound inside'
    LD_LIBRARY_PATH=$PWD/symbolic ldd ./enable | grep -q "=> $PWD/symbolic/"
    LD_LIBRARY_PATH=$PWD/symbolic run "$TAT" doctor ./disable # an rpath before
    says 0 hook good ''
    LD_LIBRARY_PATH=$PWD/symbolic ldd ./disable | grep -q "=> $PWD/open/"
}

@test "an rpath is of the object that has it, and holds for all that this needs" {
    mkdir -p chain/a chain/b
    cp open/libggml-cpu.so.1.2.3 chain/b/
    old=(-Wl,--disable-new-dtags -Wl,-rpath)
    "$CC" -shared -fPIC other.c -Wl,-soname,libb.so -Wl,--no-as-needed chain/b/libggml-cpu.so.1.2.3 -o chain/b/libb.so
    "$CC" -shared -fPIC other.c -Wl,-soname,liba.so -Wl,--no-as-needed chain/b/libb.so "${old[@]}",'$ORIGIN/../b' -o chain/a/liba.so \
        -Wl,-rpath-link,chain/b
    "$CC" none.c -Wl,--no-as-needed chain/a/liba.so "${old[@]}",'$ORIGIN/a' -Wl,-rpath-link,chain/b -o chain/first
    "$CC" none.c -Wl,--no-as-needed chain/b/libb.so "${old[@]}",'$ORIGIN/b' -o chain/second
    for program in first second; do
        ! ldd chain/$program | grep "not found"
        run "$TAT" doctor chain/$program
        says 0 ggml good "$PWD/chain/b/libggml-cpu.so.1.2.3"
        [[ $output != *"not found"* ]] || { echo "$output"; false; }
    done
}

@test "a backend that lies beside the program, where another is linked: never loaded" {
    mkdir other
    cp enable open/libggml-cpu.so.1.2.3 other/
    LD_LIBRARY_PATH=$PWD/symbolic run "$TAT" doctor other/enable
    says 1 hook BAD 'bound inside'
}

@test "a program that gains privileges" {
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    cp open/program raised
    chown 1:1 raised
    chmod u+s raised
    run "$TAT" doctor ./raised
    says 1 privileges BAD 'set-user-ID'
}

@test "a library that is not found" {
    cp open/program lonely
    run "$TAT" doctor ./lonely
    says 0 libraries warning 'libggml-cpu.so.1.2.3 is not found'
}

@test "another kind of processor" {
    cp none foreign
    printf '\x15' | dd of=foreign bs=1 seek=18 conv=notrunc status=none # e_machine: PowerPC
    run "$TAT" doctor ./foreign
    says 1 program BAD 'another kind of processor'
}

@test "a process: what it has mapped" {
    printf 'GGUF and more' > model.gguf
    cat > process.py <<'END'
import ctypes, mmap, sys
ctypes.CDLL(sys.argv[1])
file = open("model.gguf")
model = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.read()
END
    coproc python3 process.py "$PWD/open/libggml-cpu.so.1.2.3"
    pid=$COPROC_PID
    read -r -u "${COPROC[0]}" _
    run "$TAT" doctor "$pid"
    eval "exec ${COPROC[1]}>&-"
    says 0 hook good ''
    says 0 tracer warning 'not loaded'
    says 0 models good "$PWD/model.gguf"
    [[ ${lines[-1]} =~ ^Process\ $pid\ \(python3?[0-9.]*\)\ is\ not\ being\ traced\.\ Started\ anew\ under\ .tat\ record.,\ it\ can\ be ]]
}

@test "a process without ggml is named as one" {
    sleep 1000 3>&- &
    until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done # and no shell any more
    run "$TAT" doctor $!
    kill $!
    says 1 ggml BAD ''
    [ "${lines[-1]}" = "Process $! (sleep) cannot be traced." ]
}

@test "no such process, no such program, no program at all" {
    run "$TAT" doctor 4194305
    [ "$status" -eq 3 ]
    run "$TAT" doctor no-such-program
    [ "$status" -eq 3 ]
    run "$TAT" doctor ./main.c
    [ "$status" -eq 3 ]
    run "$TAT" doctor ./open # a folder; some systems have a program of that name
    [ "$status" -eq 3 ]
    mkfifo pipe
    chmod +x pipe
    run timeout 60 "$TAT" doctor ./pipe
    [ "$status" -eq 3 ]
}

@test "the system alone" {
    run "$TAT" doctor
    [ "$status" -eq 0 ]
    for check in agent kernel clock disk memlock cgroup 'perf events' io_uring 'trace events'; do
        says 0 "$check" '(good|warning)' ''
    done
}

@test "what tat run needs of the system" {
    run "$TAT" doctor
    for check in 'record --memory' 'run: library' 'run: memory' 'run: mappings' 'run: O_DIRECT' 'run: swap'; do
        says 0 "$check" '(good|warning)' ''
    done
    TAT_MANAGER=nowhere run "$TAT" doctor
    says 0 'run: library' warning 'TAT_MANAGER names nowhere'
    [ "$(stat -f -c %T /dev/shm)" = tmpfs ] || return 0
    cd /dev/shm
    run "$TAT" doctor
    says 0 'run: O_DIRECT' warning 'tmpfs, in this folder'
}

@test "a folder of traces that is not there yet" {
    TAT_DIR=$BATS_TEST_TMPDIR/not/yet run "$TAT" doctor
    says 0 disk good 'free for'
    TAT_DIR=notyet run "$TAT" doctor
    says 0 disk good 'free for'
    TAT_DIR=/notyet run "$TAT" doctor
    says 0 disk '(good|warning)' 'free for'
}

@test "--json" {
    run --separate-stderr "$TAT" doctor --json functions/program
    [ "$status" -eq 1 ]
    python3 -c '
import json, sys
answer = json.loads(sys.argv[1])
assert answer["target"] == "functions/program" and answer["can_be_traced"] is False
assert {c["check"]: c["verdict"] for c in answer["checks"]}["hook"] == "bad"
assert all(c["found"] and set(c) == {"check", "verdict", "found", "advice"} for c in answer["checks"])' "$output"
}

@test "a name that is no UTF-8" {
    cp none $'odd\xff'
    run "$TAT" doctor --json $'./odd\xff'
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys; json.loads(sys.argv[1])' "$output"
}

@test "--memory: what is measured is kept" {
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    run --separate-stderr "$TAT" doctor --memory --json
    [ "$status" -eq 0 ]
    python3 -c '
import glob, json, sys
found = json.loads(sys.argv[1])
assert [json.load(open(path)) for path in glob.glob(sys.argv[2] + "/tat/machine-*.json")] == [found]
assert found["host"]["cpus"] >= 1 and found["cache_bytes"] > 0
assert {r["threads"] for r in found["reads"]} == {a["threads"] for a in found["arithmetic"]}
assert 1 in {r["threads"] for r in found["reads"]} and len({r["buffer_bytes"] for r in found["reads"]}) == 2
assert all(0 < r["low"] <= r["per_second"] <= r["high"] for r in found["reads"] + found["arithmetic"])' \
        "$output" "$XDG_STATE_HOME"
    run "$TAT" doctor --memory open/program
    [ "$status" -eq 2 ]
}

@test "--disk: what is measured is kept" {
    export XDG_STATE_HOME=$BATS_TEST_TMPDIR/state
    head -c 8M /dev/urandom > on_disk
    run --separate-stderr "$TAT" doctor --disk on_disk
    [ "$status" -eq 0 ]
    kept=$(grep -o "[^ ]*/disk-[^ ]*\.json" <<< "$output")
    python3 -c '
import json, sys
found = json.load(open(sys.argv[1]))
assert found["file_bytes"] == 8 << 20 and found["host"]["cpus"] >= 1
hows = {r["how"] for r in found["rates"]}
assert ("direct" in hows) != bool(found["not_direct"]) and ("mapped" in hows) != bool(found["not_through_cache"])
assert all(0 < r["low"] <= r["per_second"] <= r["high"] and r["p50_ns"] <= r["p99_ns"] for r in found["rates"])
assert {r["order"] for r in found["rates"]} <= {"random", "sequential"}
assert found["not_direct"] or found["buffer_page_bytes"] >= 4096' "$kept"
    grep -q "^Nothing was read past the page cache\|, into memory in pages of " <<< "$output"
    run "$TAT" doctor --disk "$BATS_TEST_TMPDIR"
    [ "$status" -eq 3 ]
    [[ $output == *"is not a regular file: name a model"* ]]
    run "$TAT" doctor --disk on_disk --memory
    [ "$status" -eq 2 ]
}
