#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""view_client.py ADDRESS WHAT [ARGUMENT]...: what clients of `tat view` do, good ones and bad ones.

Each WHAT is a function below. It prints what came of it, or ends with an error.
"""

import json
import re
import resource
import selectors
import socket
import sys
import time

PARTS = re.match(r"http://([^/]*):(\d+)/([0-9a-f]{32})/$", sys.argv[1])
assert PARTS, f"not an address of tat view: {sys.argv[1]}"
HOST, PORT, TOKEN = PARTS[1], int(PARTS[2]), PARTS[3]
PATIENCE = 300  # seconds


def connect() -> socket.socket:
    return socket.create_connection((HOST, PORT), timeout=PATIENCE)


def send(request: bytes) -> tuple[int, bytes, bytes]:
    """Sends bytes on a connection of their own. Returns status, headers and body of the answer; 0: there was none."""
    with connect() as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), head.lower(), body


def ask(path: str, method: str = "GET", headers: tuple[str, ...] = (), host: str | None = None) -> tuple[int, bytes, bytes]:
    """`path` is behind the token, unless it begins with a slash."""
    lines = [f"{method} {path if path.startswith('/') else f'/{TOKEN}/{path}'} HTTP/1.1", "Connection: close"]
    lines += [f"Host: {host if host is not None else f'{HOST}:{PORT}'}"] if host != "" else []
    return send("\r\n".join([*lines, *headers, "", ""]).encode("latin-1"))


def fetch(path: str) -> None:
    status, _, body = ask(path)
    assert status == 200, (status, body)
    sys.stdout.buffer.write(body)


def get(path: str) -> None:
    status, _, body = ask(path)
    sys.stdout.write(f"{status} " if status != 200 else "")
    sys.stdout.write(body.decode())


def expect(what: str, found: tuple[int, bytes, bytes], *wanted: int) -> None:
    assert found[0] in wanted, f"{what}: {found[0]} {found[2][:200]!r}, not {wanted}"


def refused() -> None:
    """Each with a status that says why, and nothing of a trace in it."""
    good = "api/traces"
    other = ("0" if TOKEN[0] != "0" else "1") + TOKEN[1:]
    for what, found, status in [
        ("no token", ask("/"), 403),
        ("no token, but a path", ask("/api/traces"), 403),
        ("no token, and half an escape", ask("/%4"), 403),
        ("no token, and up", ask("/.."), 403),
        ("no token, and a parameter twice", ask("/?a=1&a=2"), 403),
        ("a wrong token", ask(f"/{other}/api/traces"), 403),
        ("half of the token", ask(f"/{TOKEN[:16]}/api/traces"), 403),
        ("the token and more", ask(f"/{TOKEN}0/api/traces"), 403),
        ("the token in capitals and a path", ask(f"/x/{TOKEN}/api/traces"), 403),
        ("another host", ask(good, host="evil.example"), 403),
        ("another host with the port", ask(good, host=f"evil.example:{PORT}"), 403),
        ("a host that begins like ours", ask(good, host=f"127.0.0.1.evil.example:{PORT}"), 403),
        ("another machine's address", ask(good, host="192.0.2.1"), 403),
        ("no host", ask(good, host=""), (400, 403)),
        ("another origin", ask(good, headers=("Origin: http://evil.example",)), 403),
        ("a file's origin", ask(good, headers=("Origin: null",)), 403),
        ("our host over TLS", ask(good, headers=(f"Origin: https://{HOST}:{PORT}",)), 403),
        ("another port's origin", ask(good, headers=(f"Origin: http://{HOST}:{PORT + 1}",)), 403),
        ("POST", ask(good, method="POST", headers=("Content-Length: 2",)), 405),
        ("DELETE", ask(good, method="DELETE"), 405),
        ("OPTIONS", ask(good, method="OPTIONS"), 405),
        ("a body", ask(good, headers=("Content-Length: 5",)), 413),
        ("chunks", ask(good, headers=("Transfer-Encoding: chunked",)), 413),
        ("up", ask("../../etc/passwd"), 400),
        ("up, encoded", ask("assets/%2e%2e/%2e%2e/etc/passwd"), 400),
        ("up, with an encoded slash", ask("assets/..%2f..%2fetc/passwd"), 400),
        ("a path from the root", ask("assets//etc/passwd"), 404),
        ("a 0 in the path", ask("assets/page.js%00.txt"), 400),
        ("half an escape", ask("assets/%4"), 400),
        ("no such file", ask("assets/none.js"), 404),
        ("no such question", ask("api/none"), 404),
        ("no such question of a trace", ask("api/traces/0/none"), 404),
        ("no such trace", ask("api/traces/99/about"), 404),
        ("a trace's number that is too large", ask("api/traces/99999999999999999999999/about"), 404),
        ("a negative number", ask("api/traces/-1/about"), 404),
        ("no such parameter", ask("api/traces/0/about?x=1"), 400),
        ("no such section", ask("api/traces/0/sections?names=none"), 400),
        ("a size that is none", ask("api/traces/0/sections?memory=much"), 400),
        ("a graph of no layer", ask("api/traces/0/graph?token=3&layer=99"), 404),
        ("a graph of no token", ask("api/traces/0/graph?token=99999"), 404),
        ("a span that ends before it begins", ask("api/traces/0/records?lo=9&hi=x"), 400),
        ("a picture of too many cells", ask("api/traces/0/grid?w=99999&h=9"), 400),
        ("offsets of too many cells", ask("api/traces/0/offsets?w=8192&h=8192"), 400),
        ("a measure of the file map, which has none", ask("api/traces/0/file?measure=time"), 400),
        ("a picture of nothing", ask("api/traces/0/grid?w=0"), 400),
        ("a time that is none", ask("api/traces/0/io?t0=-1"), 400),
        ("I/O that was not recorded", ask("api/traces/0/io"), 404),
        ("a parameter twice", ask("api/traces/0/sections?memory=1G&memory=2G"), 400),
        ("too many parameters", ask("api/traces/0/sections?" + "&".join(f"p{i}=1" for i in range(100))), 400),
    ]:
        expect(what, found, *(status if isinstance(status, tuple) else (status,)))
        assert found[2].count(b"\n") <= 1 and b"root:" not in found[2], what
    print("refused")


def oversized() -> None:
    """More than any page sends: a clear status, or the connection is closed."""
    expect("a long path", ask("a" * 20000), 400, 414)
    expect("a longer path", ask("a" * 200000), 400, 414, 0)
    expect("long parameters", ask("api/traces/0/sections?memory=" + "9" * 9000), 400, 414)
    expect("a long header", ask("api/traces", headers=("X: " + "x" * 200000,)), 413, 431, 0)
    expect("many headers", ask("api/traces", headers=tuple(f"X{i}: {i}" for i in range(20000))), 413, 431, 0)
    expect("no HTTP", send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 100 + b"\r\n\r\n"), 400, 501, 505, 0)
    expect("a method alone", send(b"GET\r\n\r\n"), 400, 403, 0)
    expect("a line that ends early", send(b"GET \r\nHost: x\r\n\r\n"), 400, 403, 0)
    expect("a host of nobody's", send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 403)
    expect("afterwards", ask("api/traces"), 200)
    print("refused")


def head() -> None:
    """As GET, without the body."""
    for path in ("api/traces", "api/traces/0/about", "api/traces/0/sections?names=run", "api/none"):
        with_body, without = ask(path), ask(path, method="HEAD")
        assert with_body[0] == without[0] and without[2] == b"", path
        length = re.search(rb"content-length: (\d+)", without[1])
        assert length and int(length[1]) == len(with_body[2]) > 0, path
    print("alike")


def guarded() -> None:
    """What keeps a browser from doing more than the page needs."""
    _, found, _ = ask("api/traces")
    for header in (
        b"content-security-policy: default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:",
        b"x-content-type-options: nosniff",
        b"cache-control: no-store",
        b"content-type: application/json",
    ):
        assert header in found, header
    assert b"access-control" not in found
    print("guarded")


def parallel(count: str, *paths: str) -> None:
    """So many connections at once, all with the same right answers as one alone."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = {path: ask(path)[2] for path in paths}
    selector = selectors.DefaultSelector()
    answers: dict[socket.socket, tuple[str, bytearray]] = {}
    for i in range(int(count)):
        connection, path = connect(), paths[i % len(paths)]
        connection.sendall(f"GET /{TOKEN}/{path} HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nConnection: close\r\n\r\n".encode())
        connection.setblocking(False)
        answers[connection] = path, bytearray()
        selector.register(connection, selectors.EVENT_READ)
    open_ones = len(answers)
    while open_ones:
        ready = selector.select(PATIENCE)
        assert ready, f"{open_ones} have no answer"
        for key, _ in ready:
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            more = connection.recv(65536)
            answers[connection][1].extend(more)
            if not more:
                selector.unregister(connection)
                connection.close()
                open_ones -= 1
    for path, answer in answers.values():
        first, _, body = bytes(answer).partition(b"\r\n\r\n")
        assert first.split()[1] == b"200" and body == wanted[path], (path, first[:100])
    print(f"{len(answers)} answers")


def slow() -> None:
    """Clients that do not finish what they send, or do not take what they asked for, hold up nobody."""
    lazy = [connect() for _ in range(300)]
    for connection in lazy[:200]:
        connection.sendall(b"GET /")
    for connection in lazy[200:]:  # answers that nobody reads
        connection.sendall(f"GET /{TOKEN}/api/traces/0/about HTTP/1.1\r\nHost: {HOST}:{PORT}\r\n\r\n".encode() * 20)
    for _ in range(5):
        for connection in lazy[:200]:
            connection.sendall(b"a")
        expect("beside slow clients", ask("api/traces/0/about"), 200)
    line = f"GET /{TOKEN}/api/traces HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nConnection: close\r\n\r\n"
    with connect() as connection:  # byte by byte, and an answer all the same
        for byte in line.encode():
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    for connection in lazy:
        connection.close()
    print("answered")


def idle() -> None:
    """Who says nothing, or does not know the token, is let go before who knows it."""
    line = f"GET /{TOKEN}/api/traces HTTP/1.1\r\nHost: {HOST}:{PORT}\r\n\r\n".encode()
    with connect() as known, connect() as silent, connect() as stranger:
        known.sendall(line)
        assert known.recv(65536).startswith(b"HTTP/1.1 200")
        stranger.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}:{PORT}\r\n\r\n".encode())
        assert stranger.recv(65536).startswith(b"HTTP/1.1 403")
        for connection in (silent, stranger):
            connection.settimeout(2 * PATIENCE)
            assert connection.recv(65536) == b""
        known.sendall(line)
        assert known.recv(65536).startswith(b"HTTP/1.1 200")
    print("let go")


def until(path: str, expression: str) -> None:
    """Asks again until the Python expression over the answer `a` is true."""
    for _ in range(10 * PATIENCE):
        status, _, body = ask(path)
        a = json.loads(body) if status == 200 else None
        if a is not None and eval(expression, {"a": a}):  # noqa: S307: the test's own
            print("yes")
            return
        time.sleep(0.1)
    sys.exit(f"never: {expression}: {a}")


if __name__ == "__main__":
    print_what = globals()[sys.argv[2]]
    print_what(*sys.argv[3:])
