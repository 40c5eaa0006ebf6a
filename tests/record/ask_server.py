# SPDX-License-Identifier: MIT
"""Asks a llama-server, whose answers are printed in the order of the questions.

ask_server.py PORT turn N PROMPT [N PROMPT...]  one after the other, N tokens each
ask_server.py PORT meanwhile N PROMPT N PROMPT  the second when the first has begun to be answered
"""
import json
import sys
import threading
import urllib.request

TIMEOUT = 120  # seconds


def ask(port, count, prompt, begun=None):
    """The answer; `begun` is called at its first token."""
    question = {"prompt": prompt, "n_predict": int(count), "temperature": 0, "ignore_eos": True, "stream": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    answer = ""
    with urllib.request.urlopen(request, timeout=TIMEOUT) as lines:
        for line in lines:
            if line.startswith(b"data: {"):
                answer += json.loads(line[len(b"data: ") :])["content"]
                if begun:
                    begun()
                    begun = None
    return answer


def meanwhile(port, first, second):
    begun, answers = threading.Event(), {}

    def ask_first():
        answers[1] = ask(port, *first, begun.set)

    thread = threading.Thread(target=ask_first)
    thread.start()
    if not begun.wait(TIMEOUT):
        sys.exit("the first question was not answered")
    answers[2] = ask(port, *second)
    thread.join()
    return [answers[1], answers[2]]


def main(port, how, *questions):
    pairs = list(zip(questions[::2], questions[1::2]))
    answers = meanwhile(port, *pairs) if how == "meanwhile" else [ask(port, *pair) for pair in pairs]
    print(json.dumps(answers))


main(*sys.argv[1:])
