"""TLS as a conversation of bytes, without a socket: the same for sync, async, and TLS inside TLS (an https proxy)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TLS_ERRORS = (ssl.SSLError, ssl.CertificateError, ValueError)
"""What a handshake raises; ``ValueError`` for a name that cannot be checked."""


class Session:
    """One TLS connection's state.

    After every ``attempt`` send what ``outgoing`` returns; while ``wants_more``, give ``receive`` what arrives and
    attempt again.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self.wants_more = False

    def attempt(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """What the step returns; nothing of meaning while it ``wants_more``."""
        self.wants_more = False
        try:
            return step(*arguments)
        except ssl.SSLWantReadError:
            self.wants_more = True

    def shake_hands(self) -> None:
        """A step: agree on keys, and judge the certificate."""
        self.ssl_object.do_handshake()

    def read(self, max_bytes: int) -> bytes:
        """A step: decrypted bytes; none at the end, however the peer ended (only the body's own framing counts)."""
        try:
            return self.ssl_object.read(max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._outgoing.read()  # the alert that answers an end: nobody waits for it
            return b""

    def write(self, data: bytes) -> None:
        """A step: encrypt. All of it: the way out has no bound."""
        self.ssl_object.write(data)

    def outgoing(self) -> bytes:
        """What must be sent now."""
        return self._outgoing.read()

    def receive(self, data: bytes) -> None:
        """Take what the peer sent; nothing means that it is gone."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
