# SPDX-License-Identifier: MIT
"""typed.py SHELL SCRIPT LINE...: what a line becomes when TAB is pressed after it, in an interactive SHELL on a terminal.

SCRIPT is the file of completions. Prints a line for each LINE; works in the current folder.
"""
import os
import pty
import select
import sys
import time

DEADLINE = 300  # seconds
COMMAND = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}

# Control-X twice writes the line as it stands into a file.
SETUP = {
    "bash": r"""PS1=
bind 'set enable-bracketed-paste off'
source SCRIPT
bind -x '"\C-x\C-x": printf %s "$READLINE_LINE" > line.new; mv line.new line'
""",
    "zsh": r"""PS1=
fpath=(FOLDER $fpath)
autoload -Uz compinit
compinit -u -d $PWD/compdump
show() { print -rn -- $BUFFER > line.new; mv line.new line }
zle -N show
bindkey -e
bindkey '^X^X' show
""",
}


def read_when_there(terminal, file):
    """What the shell says meanwhile has to be read, or it would wait."""
    said, end = b"", time.monotonic() + DEADLINE
    while not os.path.exists(file):
        if time.monotonic() > end:
            sys.exit(f"no answer after {DEADLINE} s, only {said!r}")
        if select.select([terminal], [], [], 0.02)[0]:
            said += os.read(terminal, 65536)
    with open(file, encoding="utf-8") as answer:
        text = answer.read()
    os.unlink(file)
    return text


def main(shell, script, lines):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execvp(COMMAND[shell][0], COMMAND[shell])
    setup = SETUP[shell].replace("SCRIPT", script).replace("FOLDER", os.path.dirname(script))
    os.write(terminal, setup.encode() + b"touch ready\n")
    read_when_there(terminal, "ready")
    for line in lines:
        os.write(terminal, line.encode() + b"\t\x18\x18")
        print(read_when_there(terminal, "line"))
        os.write(terminal, b"\x15")  # the line is empty again
    os.close(terminal)


main(sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:])
