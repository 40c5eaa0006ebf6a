# SPDX-License-Identifier: MIT
"""screen.py ROWS COLUMNS STEP COMMAND...: what a full-screen program leaves on a terminal.

STEP is what to do once it has drawn "Recording" twice: "q", "ctrl-c", "term", "resize" (then q), "stop" (SIGTSTP, then
on, then q), or "wait" (for its end; the process $STOPPED goes on once it has drawn). Prints as JSON: frames, the last frame's
lines, what came after the screen was given back, whether the terminal is as before, and the status: an exit status, or minus
the signal.
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

DEADLINE = 300  # seconds: less than tests/bats.sh gives a test
ENTER, LEAVE = "\033[?1049h", "\033[?1049l"


def set_size(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_until(terminal, said, done):
    """Collects what is said until done(text), or its end."""
    end = time.monotonic() + DEADLINE
    while not done(said[0]):
        if time.monotonic() > end:
            sys.exit(f"nothing more after {DEADLINE} s: {said[0][-500:]!r}")
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            said[0] += data.decode("utf-8", "replace")


def frames(text):
    return text.count("\033[HRecording") + text.count("\033[H\033[1mRecording")


def act(step, child, terminal, said):
    if step == "q":
        os.write(terminal, b"q")
    elif step == "ctrl-c":
        os.write(terminal, b"\x03")
    elif step == "term":
        os.kill(child, signal.SIGTERM)
    elif step == "resize":
        set_size(terminal, 12, 40)
        os.kill(child, signal.SIGWINCH)
        so_far = frames(said[0])
        read_until(terminal, said, lambda text: frames(text) > so_far)
        os.write(terminal, b"q")
    elif step == "wait":
        os.kill(int(os.environ["STOPPED"]), signal.SIGCONT)
    elif step == "stop":
        os.kill(child, signal.SIGTSTP)
        read_until(terminal, said, lambda text: LEAVE in text)
        while open(f"/proc/{child}/stat").read().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.01)
        os.kill(child, signal.SIGCONT)
        read_until(terminal, said, lambda text: text.count(ENTER) == 2 and frames(text.rsplit(ENTER, 1)[1]) > 0)
        os.write(terminal, b"q")


def main(rows, columns, step, command):
    waits, lets = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        set_size(0, rows, columns)
        os.close(lets)
        os.read(waits, 1)
        os.execvp(command[0], command)
    said = [""]
    before = termios.tcgetattr(terminal)
    os.close(lets)  # the program begins, and may change the terminal
    read_until(terminal, said, lambda text: frames(text) >= 2)
    raw = termios.tcgetattr(terminal)
    act(step, child, terminal, said)
    read_until(terminal, said, lambda text: False)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = said[0]
    last = re.split("\033\\[H", text.rsplit(LEAVE, 1)[0])[-1]
    last = re.sub("\n?\033\\[J\033\\[[0-9]+;1H", "\n", last)  # the foot
    print(json.dumps({
        "frames": frames(text),
        "lines": re.sub("\033\\[[0-9;?]*[A-Za-z]", "", last).splitlines(),
        "after": text.rsplit(LEAVE, 1)[1],
        "given_back": text.count(ENTER) == text.count(LEAVE) > 0 and text.rfind("\033[?25h") > text.rfind("\033[?25l"),
        "echo": bool(before[3] & termios.ECHO) and not raw[3] & termios.ECHO,
        "as_before": termios.tcgetattr(terminal) == before,
        "status": status,
    }))


main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
