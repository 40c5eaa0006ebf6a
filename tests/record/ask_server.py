# SPDX-License-Identifier: MIT
"""Asks a llama-server, whose answers are printed in the order of the questions.

ask_server.py PORT turn N PROMPT [N PROMPT...]       one after the other, N tokens each
ask_server.py PORT meanwhile N PROMPT [N PROMPT...]  each when the one before has begun to be answered

A PROMPT that is a JSON object is sent as it is: a text with images.
"""
import json
import sys
import threading
import urllib.request

TIMEOUT = 120  # seconds


def ask(port, count, prompt, begun=None):
    """The answer; `begun` is called at its first token."""
    prompt = json.loads(prompt) if prompt.startswith("{") else prompt
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


def meanwhile(port, *questions):
    answers, threads = {}, []

    def answer(number, begun):
        answers[number] = ask(port, *questions[number], begun)

    for number in range(len(questions)):
        begun = threading.Event()
        threads.append(threading.Thread(target=answer, args=(number, begun.set)))
        threads[-1].start()
        if not begun.wait(TIMEOUT):
            sys.exit(f"question {number + 1} was not answered")
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(questions))]


def main(port, how, *questions):
    pairs = list(zip(questions[::2], questions[1::2]))
    answers = meanwhile(port, *pairs) if how == "meanwhile" else [ask(port, *pair) for pair in pairs]
    print(json.dumps(answers))


main(*sys.argv[1:])
