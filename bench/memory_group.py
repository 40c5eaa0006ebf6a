# SPDX-License-Identifier: MIT
"""A memory cgroup of a benchmark's own."""

import os
import re
import time
from pathlib import Path


class Group:
    """Of version 1 or 2, without swap. There is one at a time."""

    def __init__(self) -> None:
        v1 = Path("/sys/fs/cgroup/memory")
        self.is_v1 = (v1 / "memory.limit_in_bytes").exists()
        self.folder = (v1 if self.is_v1 else Path("/sys/fs/cgroup")) / f"tat-optimise-{os.getpid()}"

    def __enter__(self) -> "Group":
        self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        for _attempt in range(50):  # whoever ended may not be gone yet
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def limit(self, limit: int) -> None:
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] if self.is_v1 else ["memory.max", "memory.swap.max"]
        for name in names:
            if (self.folder / name).exists():
                (self.folder / name).write_text("0" if name == "memory.swap.max" else str(limit))

    def enter(self) -> None:
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def number(self, v1: str, v2: str) -> int:
        return int((self.folder / (v1 if self.is_v1 else v2)).read_text())

    def peak(self) -> int:
        return self.number("memory.max_usage_in_bytes", "memory.peak")

    def kills(self) -> int:
        name = "memory.oom_control" if self.is_v1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)", (self.folder / name).read_text(), re.M)
        return int(found[1]) if found else 0
