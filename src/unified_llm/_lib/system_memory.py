"""Memory of the system: what this process could still use, and giving back what it has freed.

What it could use is that of the machine, or of the container that it runs in where that is less.

Sources: proc(5) for ``/proc/meminfo``, cgroups(7) for ``/proc/self/cgroup``, and the kernel's documentation of the
memory controllers (docs.kernel.org/admin-guide/cgroup-v2.html, docs.kernel.org/admin-guide/cgroup-v1/memory.html).
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

_AVAILABLE: Final = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
# Version 1 writes a number close to 2**63 where there is no limit.
_NO_LIMIT: Final = 2**60


class _Names(NamedTuple):
    """The files of a control group, and the line of ``memory.stat`` with the pages of files not used lately."""

    limit: str
    usage: str
    cache: str


_VERSION_1: Final = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2: Final = _Names("memory.max", "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process could take without swapping; None where the system does not say (no Linux).

    Args:
        root: The folder that ``proc`` and ``sys`` are in.
    """
    available = _AVAILABLE.search(_read(root / "proc" / "meminfo"))
    if available is None:
        return None
    return max(0, min([int(available[1]) * 1024, *_left_in_groups(root)]))


def release_heap() -> None:
    """Give freed memory back to the system, where the C library keeps it for later (glibc).

    Once a large block was freed, glibc takes blocks of up to 32 MB from its heaps, of which each thread may have its
    own, and keeps them: a process that loads and unloads a model again and again would grow each time (malloc_trim(3),
    mallopt(3)).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield the bytes that are left in each control group with a limit, from that of this process up to the first."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _left(mounted, path, _VERSION_2)
        elif "memory" in controllers.split(","):
            yield from _left(mounted / "memory", path, _VERSION_1)


def _left(mounted: Path, path: str, names: _Names) -> Iterator[int]:
    # A container sees its own group as the first, while the path may still be that of the machine.
    below = PurePosixPath(path.lstrip("/"))
    for group in {mounted, *(mounted / step for step in (below, *below.parents))}:
        limit, usage = _number(_read(group / names.limit)), _number(_read(group / names.usage))
        if limit is None or usage is None or limit >= _NO_LIMIT:
            continue
        # The system takes such pages back when memory is needed.
        cache = re.search(rf"^{names.cache} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
        yield limit - usage + (int(cache[1]) if cache else 0)


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
