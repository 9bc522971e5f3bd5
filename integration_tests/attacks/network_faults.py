"""Networks that fail without a word: no answer to a connection, to a look-up of a name, to bytes of a connection.

Nothing here needs root: what only namespaces of users can do returns False where there are none.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Final

from integration_tests.attacks.catalogue import Figure, Run, none_of

Info = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""What a look-up returns for each address."""

_SO_ATTACH_FILTER: Final = 26  # Linux; the socket module has no name for it, nor for the next
_SO_DETACH_FILTER: Final = 27


def _program(*instructions: tuple[int, int, int, int]) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))


# Filters of the kernel, in BPF: code, jumps, operand. What is returned is how many bytes of a packet are kept.
_DROP_ALL: Final = _program((0x06, 0, 0, 0))
_DROP_DATA: Final = _program(
    (0x30, 0, 0, 12),  # A = the byte of the TCP header whose upper half is its length in words
    (0x74, 0, 0, 4),  # A >>= 4
    (0x64, 0, 0, 2),  # A <<= 2
    (0x07, 0, 0, 0),  # X = A
    (0x80, 0, 0, 0),  # A = the length of the packet, with that header
    (0x2D, 0, 1, 0),  # A > X: there is data
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # keep it
)


def deafen(sock: socket.socket) -> bool:
    """Let the kernel drop all that a socket receives, before it acknowledges it; return False if it cannot.

    For the other side, it is as if a firewall had forgotten this one connection.
    """
    return _attach(sock, _DROP_ALL)


def deafen_to_data(listener: socket.socket) -> bool:
    """Let new connections of a listener be made, and drop the data that comes over them; return False if it cannot."""
    return _attach(listener, _DROP_DATA)


def hear_again(listener: socket.socket) -> None:
    """Undo that for further connections."""
    listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _attach(sock: socket.socket, program: ctypes.Array[ctypes.c_char]) -> bool:
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        size = (len(program) - 1) // 8  # a buffer ends with a NUL of its own
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", size, ctypes.addressof(program)))
        return True
    return False


def can_deafen() -> bool:
    """Return whether ``deafen`` works here."""
    with socket.socket() as sock:
        return deafen(sock)


def _can_bind(address: str) -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.bind((address, 0))
        return True
    return False


def has_several_addresses() -> bool:
    """Return whether all of 127.0.0.0/8 is this machine, as on Linux."""
    return _can_bind("127.0.0.2")


def has_ipv6() -> bool:
    """Return whether this machine has IPv6."""
    return _can_bind("::1")


def only_if(possible: Callable[[], bool], lacking: str) -> Callable[[Run], Run]:
    """Let an attack be green, and say that nothing was measured, on a machine that lacks what it needs."""

    def decorate(run: Run) -> Run:
        @wraps(run)
        def run_if_possible() -> Iterator[Figure]:
            if possible():
                yield from run()
            else:
                yield none_of(f"not measured, {lacking} here:", 0)

        return run_if_possible

    return decorate


@contextmanager
def black_hole(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listen on a port that answers no attempt to connect: its queue is full. The value is the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as hole:
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind((address, port))
        hole.listen(0)
        waiting = [socket.socket(family) for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            sock.connect_ex(hole.getsockname())
        threading.Event().wait(0.2)
        try:
            yield hole.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


@contextmanager
def silent() -> Iterator[int]:
    """Listen on a port where the kernel accepts connections, and nobody ever reads or writes."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield listener.getsockname()[1]


LookUp = Callable[[str, int], Sequence[Info] | None]
"""Returns the addresses of a name, None for what the system says; it may wait or raise."""


@contextmanager
def looked_up_by(look_up: LookUp) -> Iterator[None]:
    """Replace the look-up of names of this process."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, family: int = 0, *rest: Any, **others: Any) -> Any:
        flags = rest[2] if len(rest) > 2 else others.get("flags", 0)
        if host and not flags & socket.AI_NUMERICHOST:
            found = look_up(host.decode() if isinstance(host, bytes) else host, int(port or 0))
            if found is not None:
                return [info for info in found if family in (0, info[0])]
        return real(host, port, family, *rest, **others)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = real


def info(address: str, port: int) -> Info:
    """Return an address as a look-up returns it."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


class SilentResolver:
    """Looks names up; those that end with ``.silent.internal`` take ``seconds``, then fail.

    Attributes:
        asked: How many such look-ups were begun.
        working: The address that those names have from now on, None while the resolver is silent.
    """

    def __init__(self, seconds: float = 12.0) -> None:
        self.asked = 0
        self.working: str | None = None
        self._seconds = seconds

    def __call__(self, name: str, port: int) -> Sequence[Info] | None:
        """Return the addresses of a name."""
        if not name.endswith(".silent.internal"):
            return None
        self.asked += 1
        if self.working is not None:
            return [info(self.working, port)]
        threading.Event().wait(self._seconds)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


_NEW_USER, _NEW_NETWORK, _NEW_MOUNTS = 0x10000000, 0x40000000, 0x00020000
_BIND: Final = 4096
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def enter_network_with_silent_resolver(options: str = "") -> bool:
    """Move this process, which must have a single thread, into a network whose only name server never answers.

    ``localhost`` is looked up in a file, and works. Nothing can be undone: call it in a process of its own.

    Returns:
        Whether that worked: many containers allow no namespaces.
    """
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_NEW_USER | _NEW_NETWORK | _NEW_MOUNTS):
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(f"nameserver 127.0.0.1\n{options}\n")
            file.flush()
            if library.mount(file.name.encode(), b"/etc/resolv.conf", None, _BIND, None):
                return False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sH14s", b"lo", _UP_AND_RUNNING, b""))
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        server.detach()  # stays open for as long as this process
    except OSError:
        return False
    return True
