#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# tat record around programs that compute no graph. The agent is made here: a library that does nothing, or that leaves an
# empty file where a trace would be. CC is the compiler.

bats_require_minimum_version 1.5.0

setup_file() {
    echo 'int nothing;' > "$BATS_FILE_TMPDIR/agent.c"
    "${CC:-cc}" -shared -fPIC -o "$BATS_FILE_TMPDIR/agent.so" "$BATS_FILE_TMPDIR/agent.c"
}

setup() {
    TAT=${TAT:-tat}
    unset TAT_DIR LD_PRELOAD
    export TAT_AGENT=$BATS_FILE_TMPDIR/agent.so
    cd "$BATS_TEST_TMPDIR"
}

wait_until() {
    for _ in $(seq 1000); do
        if eval "$1"; then return 0; fi
        sleep 0.05
    done
    echo "never: $1"
    return 1
}

# on_terminal FILE KEY COMMAND...: runs it on a terminal of its own, presses the key once there is the file, and prints the exit
# status, of a signal -1 times its number.
on_terminal() {
    python3 - "$@" 3>&- <<'PY'
import os, pty, sys, time
file, key, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
while not os.path.exists(file):
    time.sleep(0.02)
os.write(terminal, key.encode().decode("unicode_escape").encode())
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
}

@test "record: the exit status is the command's" {
    run "$TAT" record -- true
    [ "$status" -eq 0 ]
    run "$TAT" record -- false
    [ "$status" -eq 1 ]
    run "$TAT" record sh -c 'exit 7'
    [ "$status" -eq 7 ]
}

@test "record: without a trace no folder is left, and the reason is told" {
    run "$TAT" record -- true
    [[ $output == *"no trace"*"computed no graph"* ]]
    [ -z "$(ls traces)" ]
}

@test "record: ends by the signal that ended the command" {
    run "$TAT" record -- sh -c 'kill -TERM $$'
    [ "$status" -eq 143 ]
    run "$TAT" record -- sh -c 'kill -KILL $$'
    [ "$status" -eq 137 ]
    run python3 -c 'import os, subprocess; print(subprocess.call([os.environ["TAT"], "record", "--", "sh", "-c", "kill -SEGV $$"], stderr=subprocess.DEVNULL))'
    [ "$output" = -11 ]
}

@test "record: a missing program is 127, one that cannot be run 126, and no folder is made" {
    run -127 "$TAT" record -- no-such-program
    run -127 "$TAT" record -- ./no-such-program
    echo text > file
    run -126 "$TAT" record -- ./file
    run -126 "$TAT" record -- ./
    printf '#!/no/such/interpreter\n' > script
    chmod +x script
    run -127 "$TAT" record -- ./script
    [ -z "$(ls -A traces 2> /dev/null)" ]
}

@test "record: a script without #! runs, as in a shell" {
    echo 'echo from a script' > script
    chmod +x script
    [ "$("$TAT" record -- ./script 2> /dev/null)" = "from a script" ]
}

@test "record: stdin, stdout and the arguments are untouched" {
    head -c 300000 /dev/urandom > in
    "$TAT" record -- cat < in > out 2> /dev/null
    cmp in out
    run "$TAT" record -- printf '%s|' -o "a b" --private ""
    [[ $output == "-o|a b|--private||"* ]]
    # "stdout" belongs to the command alone
    [ -z "$("$TAT" record -- true 2> /dev/null)" ]
}

@test "record: what the command is told" {
    "$TAT" record --private --max-size 2MiB -- sh -c 'env; stat -c "mode %a" "$TAT_RUN_DIR"' > out 2> /dev/null
    grep -qx "LD_PRELOAD=$TAT_AGENT" out
    grep -qx "TAT_PRIVATE=1" out
    grep -qx "TAT_MAX_SIZE=2097152" out
    grep -qx "mode 700" out
    grep -qE "^TAT_RUN_DIR=$PWD/traces/run_[0-9]{8}_[0-9]{6}(-[0-9]+)?$" out
    "$TAT" record -- env > out 2> /dev/null
    ! grep -q "^TAT_PRIVATE\|^TAT_MAX_SIZE" out
}

@test "record: which tokens, and by which agent" {
    export ASAN_OPTIONS=verify_asan_link_order=0 # an agent with a sanitizer, before the sanitizer's own library
    for range in 5:9 5: :9; do
        "$TAT" record --tokens $range -- env > out 2> /dev/null
        grep -qx "TAT_TOKENS=$range" out
    done
    env -u TAT_AGENT "$TAT" record --exact-time -- env > out 2> /dev/null
    grep -q "^LD_PRELOAD=.*/libtat_agent_exact.so$" out
    env -u TAT_AGENT "$TAT" record -- env > out 2> /dev/null
    grep -q "^LD_PRELOAD=.*/libtat_agent.so$" out
}

@test "record: what was preloaded stays, behind the agent" {
    cp "$TAT_AGENT" other.so
    # A tat built with a sanitizer wants the sanitizer first, but this is about the command's environment.
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 \
        LD_PRELOAD=$PWD/other.so "$TAT" record -- env > out 2> /dev/null
    grep -qx "LD_PRELOAD=$TAT_AGENT:$PWD/other.so" out
}

@test "record: -o names the folder, which must be new or empty" {
    run "$TAT" record -o deep/er/run -- sh -c 'echo $TAT_RUN_DIR'
    [ "${lines[0]}" = "$PWD/deep/er/run" ]
    mkdir full
    touch full/file
    run "$TAT" record -o full -- true
    [ "$status" -eq 2 ]
    [ -e full/file ]
}

@test "record: TAT_DIR is where traces go; two in one second get names of their own" {
    export TAT_DIR=$PWD/there
    for i in 1 2 3; do "$TAT" record -- sh -c 'echo $TAT_RUN_DIR; touch $TAT_RUN_DIR/kept' 2> /dev/null; done > out
    [ "$(sort -u out | wc -l)" -eq 3 ]
    [ "$(ls there | wc -l)" -eq 3 ]
    [ ! -e traces ]
}

@test "record: a trace in making is not deleted" {
    "$TAT" record -- sh -c 'echo go > started; exec sleep 100' 2> /dev/null 3>&- &
    tracer=$!
    wait_until '[ -e started ]'
    run "$TAT" rm --keep 0
    kill -TERM $tracer
    [ "$status" -eq 2 ]
    [[ $output == *"being recorded"* ]]
}

@test "record: signals are passed on" {
    for signal in TERM HUP USR1 USR2 QUIT INT; do
        rm -f ready got
        python3 - "$TAT" $signal 2> /dev/null 3>&- <<'PY'
import os, signal, subprocess, sys, time
for s in (signal.SIGINT, signal.SIGQUIT): # a shell may have them ignored
    signal.signal(s, signal.SIG_DFL)
script = "trap 'echo got > got; exit 3' %s; echo > ready; while :; do sleep 0.05; done" % sys.argv[2]
tracer = subprocess.Popen([sys.argv[1], "record", "--", "sh", "-c", script])
while not os.path.exists("ready"):
    time.sleep(0.02)
os.kill(tracer.pid, getattr(signal, "SIG" + sys.argv[2]))
assert tracer.wait(100) == 3, tracer.returncode
PY
        [ -e got ]
    done
}

@test "record: the terminal's interrupt arrives once" {
    cat > count.py <<'PY'
import signal, sys, time
count = 0
def handler(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, handler)
open("ready", "w").close()
end = time.time() + 100
while time.time() < end:
    time.sleep(0.05)
    if count:
        end = min(end, time.time() + 0.5)
sys.exit(40 + count)
PY
    [ "$(on_terminal ready '\x03' "$TAT" record -- python3 count.py)" = 41 ]
}

@test "record: whoever stops the command alone does not stop tat, and goes on with either" {
    for stop in STOP TSTP; do
        for continued in command tat; do
            python3 - "$TAT" $stop $continued 3>&- <<'PY'
import os, signal, subprocess, sys, time
tat, stop, continued = sys.argv[1:]
if stop == "TSTP":  # which the kernel drops in an orphaned process group, such as one that CI may have started
    group = os.fork()
    if group:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(group, 0)[1]))
    os.setpgrp()
def state(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rpartition(")")[2].split()[0]
def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("never: %s of %s" % (stop, continued))
probe = subprocess.Popen(["sh", "-c", "kill -%s $$" % stop])
stopped = os.waitid(os.P_PID, probe.pid, os.WSTOPPED | os.WEXITED).si_code == os.CLD_STOPPED
probe.kill()
if not stopped: # nobody above could continue it, so the system lets SIGTSTP pass
    sys.exit()
script = "echo $$ > pid; mv pid command; kill -%s $$; exit 7" % stop
tracer = subprocess.Popen([tat, "record", "--", "sh", "-c", script], stderr=subprocess.DEVNULL, start_new_session=stop == "STOP")
wait_for(lambda: os.path.exists("command"))
with open("command") as file:
    pid = int(file.read())
os.remove("command")
wait_for(lambda: state(pid) == "T")
for _ in range(30): # tat looks around meanwhile: it may sleep or run, but is not stopped
    assert state(tracer.pid) in "RSD", state(tracer.pid)
    time.sleep(0.01)
os.kill(pid if continued == "command" else tracer.pid, signal.SIGCONT)
assert tracer.wait(100) == 7, tracer.returncode
PY
        done
    done
}

@test "record: a folder that is deleted meanwhile is the reason why there is no trace" {
    run "$TAT" record -o gone -- rm -r gone
    [ "$status" -eq 0 ]
    [[ $output == *"no trace: $PWD/gone was deleted or renamed meanwhile"* ]]
}

@test "record: what a killed one left goes with the next command" {
    for next in "list" "list ." "record -o traces/run_20260101_000000 -- true"; do
        "$TAT" record -o traces/run_20260101_000000 -- sleep 60 3>&- &
        wait_until 'child=$(pgrep -x -P $! sleep)' # before that, it has the lock of the folder open too
        kill -KILL $!
        kill "$child"
        wait $! || true
        [ -p traces/run_20260101_000000/.reports ]
        [ "$next" != "list ." ] || mv traces/run_20260101_000000 named
        [ ! -e named ] || touch named/tensor_access.bin
        "$TAT" $next 2> /dev/null
        [ ! -e traces/run_20260101_000000/.reports ] && [ ! -e named/.reports ]
        rm -rf traces named
    done
}

@test "record: the terminal's stop stops both, and a shell makes both go on" {
    cat > waits.py <<'PY'
import os, sys, time
open("ready", "w").close()
while not os.path.exists("go"):
    time.sleep(0.02)
sys.exit(5)
PY
    # A shell with one job, on a terminal of its own; it is stopped by Ctrl-Z, then by a signal to tat alone.
    cat > shell.py <<'PY'
import os, signal, sys, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], [sys.argv[1], "record", "--", "python3", "waits.py"])
while not os.path.exists("ready"):
    time.sleep(0.02)
os.close(os.open("running", os.O_CREAT))
for stop in "terminal", "signal":
    if stop == "signal":
        os.kill(job, signal.SIGTSTP)
    _, status = os.waitpid(job, os.WUNTRACED)
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGTSTP, status
    os.killpg(job, signal.SIGCONT)
os.close(os.open("go", os.O_CREAT))
_, status = os.waitpid(job, 0)
os._exit(os.waitstatus_to_exitcode(status))
PY
    [ "$(on_terminal running '\x1a' python3 shell.py "$TAT")" = 5 ]
}

@test "record: the terminal's interrupt reaches a command that has a process group of its own" {
    script="import os, time; os.setpgid(0, 0); open('ready', 'w').close(); time.sleep(60)"
    [ "$(on_terminal ready '\x03' "$TAT" record -- python3 -c "$script")" = -2 ]
}

# With a sanitizer in it, the host wants the sanitizer before the agent; and what the agent keeps for its life is not a leak.
toy() {
    export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
    "$HOST" --write "$BATS_TEST_TMPDIR/toy.gguf"
    toy=$BATS_TEST_TMPDIR/toy.gguf
    export toy
}

# What "$TAT" record says of a run that made no trace; the folder is gone. It looks at processes a few times: where others keep the
# processor, a short one can end unseen, and is run again.
says_why() {
    for _ in {1..10}; do
        run "$TAT" record -o run -- "$@"
        [[ $output != *Bsymbolic* || $expected == *Bsymbolic* ]] || break
        [ ! -e run ]
        [[ $output != *"$expected"* ]] || return 0
    done
    echo "$output"
    return 1
}

@test "record: within another one, whose trace it is" {
    toy
    run "$TAT" record -o outer -- "$TAT" record -o inner -- "$HOST" -g 2 "$toy"
    [ "$status" -eq 0 ]
    [ -s inner/tensor_access.bin ]
    [[ $output == *"recorded into $PWD/inner: it is a \`tat record' within this one"* ]]
    [[ $output != *"no trace"* ]]
}

@test "record: waits for what the command left in the background, daemons too" {
    toy
    for how in background daemon; do
        script='"$HOST" -g 4000 "$toy" > out & '
        [ $how = background ] || script='setsid -f "$HOST" -g 4000 "$toy" > out'
        run "$TAT" record -o $how -- sh -c "$script"
        [ "$status" -eq 0 ]
        [[ $output == *"4,000 graphs"* ]] || { echo "$output"; false; }
        grep -q '"ended": true' $how/trace_metadata.json
        [ ! -e $how/.reports ]
    done
}

@test "record: says who still runs, and an interrupt leaves that running" {
    "$TAT" record -o run -- sh -c 'sleep 1000 & echo $! > pid; until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; exit 3' 2> said 3>&- &
    tracer=$!
    wait_until 'grep -q "sleep (process .* still runs; its trace will be in $PWD/run" said'
    kill -INT $tracer
    status=0
    wait $tracer || status=$?
    [ "$status" -eq 3 ]
    grep -q "left running; its trace will be in $PWD/run" said
    kill "$(cat pid)"
    [ -d run ]
}

@test "record: why there is no trace: the environment was cleared" {
    toy
    expected="ran without the tracer: something cleared or changed its environment" says_why env -i LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" \
        "${HOST%_linked}1" -g 2000 "$toy"
}

@test "record: why there is no trace: a process that has ended is not another user's" {
    run "$TAT" record -- sh -c 'true & exec sleep 0.5'
    [[ $output == *"no trace: sh computed no graph"* ]]
}

@test "record: why there is no trace: another user" {
    [ "$(id -u)" = 0 ] || skip "another user takes root"
    rights=$(mktemp -d)
    chmod 755 "$rights"
    toy
    cp "$TAT_AGENT" "$rights/agent.so"
    cp "$toy" "$rights/toy.gguf"
    chmod 644 "$rights"/*
    TAT_AGENT=$rights/agent.so expected="ran as user 65534, who cannot write into $PWD/run" says_why \
        setpriv --reuid 65534 --clear-groups "${HOST%_linked}1" -g 2000 "$rights/toy.gguf"
    rm -r "$rights"
}

@test "record: why there is no trace: a limit on the size of files" {
    toy
    expected="is not recorded: the limits on file sizes leave too little room: File too large" says_why \
        sh -c 'ulimit -f 0; exec "$HOST" "$toy" | cat'
}

@test "record: why there is no trace: the call is bound, though the program that was named only starts the one that has it" {
    toy
    expected="without -Bsymbolic" says_why sh -c '"${HOST%_linked}_bound" -g 2000 "$toy"; exit 0'
}

@test "record: why there is no trace: no ggml in sight, an early end, a signal" {
    expected="computed no graph that tat could see, and its processes had neither ggml nor a model" says_why sleep 0.3
    expected="ended with status 4 before" says_why sh -c 'exit 4'
    expected="was killed by signal 9 (Killed) before" says_why sh -c 'kill -KILL $$'
}

# options EXPECTED PROGRAM ARGUMENT...: what trace_metadata.json says of a program with these arguments.
options() {
    cp "$HOST" "$2"
    rm -rf run
    "$TAT" record $private -o run -- sh -c 'exec ./"$0" "$toy"' "${@:2}" 2> said
    python3 -c '
import json, sys
found = json.load(open("run/trace_metadata.json"))["options"]
assert found == json.loads(sys.argv[1]), found' "$1"
}

@test "record: the options of the run by name, however they are spelt" {
    toy
    options '{"prompt": "a b", "n_predict": 5, "temperature": 0.8, "top_k": 40, "seed": 3, "n_threads": 2, "n_ctx": 512}' llama-completion \
        -p "a b" -n 5 --temp 0.8 --top-k 40 -s 3 -t 2 -c 512
    options '{"prompt": "-n", "n_predict": -1, "top_k": 1, "n_ctx": 64, "use_mmap": false, "flash_attn": "off"}' llama-cli \
        --n_predict 7 --no-mmap --prompt -n --predict -1 --top_k 1 --ctx-size 64 -fa off
    options '{"flash_attn": true, "n_predict": 4, "temperature": 1}' llama-cli -fa --unknown x --n-predict 4 --temperature 1 # -n5 is none
    options '{"n_parallel": 2, "seed": 1, "conversation": false, "type_k": "q8_0"}' llama-server -np 2 -n5 --seed=1 -no-cnv -ctk q8_0 -m x
    options '{"n_prompt": "16,32", "n_gen": 8, "repetitions": 2}' llama-bench -p 16,32 -n 8 -r 2
    options '{}' other -n 5 -p x
    private=--private options '{"prompt": "(left out)", "n_predict": 5, "top_k": 3}' llama-completion -p secret -n 5 --top-k 3
    ! grep -q secret run/trace_metadata.json
}

@test "record: a private command line keeps the name of the program, and no value of what tells" {
    toy
    cp "$HOST" host
    "$TAT" record --private -o run -- nice -n 0 sh -c 'exec ./host "$toy"' --prompt=Hello -p Hello -r Hello --api-key=Hello --seed=3 \
        --in_prefix Hello Hello -ctk q8_0 --unknown Hello -p -Hello 2> said
    python3 -c '
import json
m = json.load(open("run/trace_metadata.json"))
assert m["command"] == ["nice", "-n", "0", "(left out)", "-c", "(left out)", "(left out)", "-p", "(left out)", "-r", "(left out)", "(left out)", "--seed=3",
    "--in_prefix", "(left out)", "(left out)", "-ctk", "q8_0", "--unknown", "(left out)", "-p", "(left out)"], m["command"]
assert m["options"] == {}, m["options"]'
    "$TAT" record --private -o named -- "$PWD/host" "$toy" 2> said
    python3 -c 'import json; assert json.load(open("named/trace_metadata.json"))["command"] == ["host", "(left out)"]'
}

@test "record: killed in its first graph" {
    toy
    run "$TAT" record -o run -- "$HOST" --killed "$toy"
    [ "$status" -eq 137 ]
    [[ $output == *"killed by signal 9 (Killed) in its first graph"* ]] || { echo "$output"; false; }
}

@test "record: a static program and one with privileges are warned about" {
    echo 'int main(void) { return 4; }' > main.c
    if "${CC:-cc}" -static -o static main.c 2> /dev/null; then
        run "$TAT" record -- ./static
        [ "$status" -eq 4 ]
        [[ $output == *"statically linked"*"BUILD_SHARED_LIBS"* ]]
    fi
    "${CC:-cc}" -o raised main.c
    if [ "$(id -u)" -eq 0 ] && chown nobody raised && chmod u+s raised; then
        run "$TAT" record -- ./raised
        [ "$status" -eq 4 ]
        [[ $output == *"privileges"* ]]
    fi
    run "$TAT" record -- sh -c :
    [[ $output != *warning* ]]
}

@test "record: an ELF file cut short is no reason to fail" {
    head -c 70 "$(command -v env)" > cut
    chmod +x cut
    run -127 "$TAT" record -- ./cut # a shell tries to read it
}

@test "record: without an agent nothing runs" {
    export TAT_AGENT=$PWD/none.so
    run "$TAT" record -- touch ran
    [ "$status" -eq 4 ]
    [[ $output == *"agent not found"* ]]
    mkdir "with space"
    cp "$BATS_FILE_TMPDIR/agent.so" "with space/agent.so"
    TAT_AGENT="$PWD/with space/agent.so" run "$TAT" record -- touch ran
    [ "$status" -eq 4 ]
    [[ $output == *"TAT_AGENT"* ]]
    [ ! -e ran ]
    [ ! -e traces ]
}

@test "record: a trace that cannot be read is told, and kept" {
    run "$TAT" record -- sh -c 'echo junk > $TAT_RUN_DIR/tensor_access.bin; mkdir ${TAT_RUN_DIR}_7; exit 6'
    [ "$status" -eq 6 ]
    [[ $output == *"tensor_access.bin"* ]]
    [ "$(ls traces | wc -l)" -eq 1 ] # the empty folder of process 7 is gone
}

@test "record: folders that are only called like those of its processes are left alone" {
    mkdir out_1 out_2
    cp "$BATS_TEST_DIRNAME/../format/version-1.bin" out_1/tensor_access.bin
    echo mine > out_1/trace_metadata.json
    run "$TAT" record -o out -- true
    [ "$status" -eq 0 ]
    [ "$(cat out_1/trace_metadata.json)" = mine ]
    [ "$(ls out_1 | wc -l)" -eq 2 ]
    [ -d out_2 ]
}

@test "record: a program that replaces itself and computes again" {
    run "$TAT" record -- sh -c 'mkdir ${TAT_RUN_DIR}_7_2; echo junk > ${TAT_RUN_DIR}_7_2/tensor_access.bin'
    [[ $output == *"_7_2/tensor_access.bin"* ]]
    [[ $("$TAT" list) == *"_7_2 "* ]]
}

@test "record: used wrongly" {
    for arguments in "" "--" "--max-size x -- true" "--max-size 0 -- true" "--max-size 100KiB -- true" "--tokens 5 -- true" \
        "--tokens 5:3 -- true" "--tokens : -- true" "--tokens 1:x -- true" "--tokens -1:4 -- true" "--nonsense -- true"; do
        run "$TAT" record $arguments
        [ "$status" -eq 2 ]
    done
}

@test "record: --io leaves nothing where there is no trace" {
    run "$TAT" record --io -o run -- sh -c 'exit 7'
    [ "$status" -eq 7 ]
    [ ! -e run ]
    run "$TAT" record --io -o run -- ./no-such-program
    [ "$status" -eq 127 ]
    [ ! -e run ]
}

@test "record: --io where the kernel refuses says so, and the program runs" {
    cat > refuse.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
long syscall(long number, ...) {
    va_list l;
    va_start(l, number);
    const long a = va_arg(l, long), b = va_arg(l, long), c = va_arg(l, long), d = va_arg(l, long), e = va_arg(l, long), f = va_arg(l, long);
    va_end(l);
    if (number == SYS_perf_event_open) {
        errno = EACCES;
        return -1;
    }
    return ((long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall"))(number, a, b, c, d, e, f);
}
C
    "${CC:-cc}" -shared -fPIC -o refuse.so refuse.c -ldl
    run --separate-stderr env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD="$PWD/refuse.so" "$TAT" record --io -- sh -c 'echo out; exit 5'
    [ "$status" -eq 5 ]
    [ "$output" = out ]
    [[ $stderr == *"page faults were not recorded: the system allows no perf events: sysctl kernel.perf_event_paranoid"* ]]
}

@test "record: a limit on the size of files is the program's, not an end of tat" {
    mkdir -p "$XDG_STATE_HOME/tat"
    for i in {1..300}; do printf '/no/such/folder/%d\t/no/such/run\n' "$i"; done > "$XDG_STATE_HOME/tat/runs"
    run bash -c 'ulimit -f 4; exec "$TAT" record -o limited -- sh -c "exit 5"'
    [ "$status" -eq 5 ]
    run bash -c 'ulimit -f 4; exec "$TAT" record -o limited -- dd if=/dev/zero of=large bs=8192 count=1 status=none'
    [ "$status" -eq 153 ] # SIGXFSZ, as without tat
}
