"""TLS over memory buffers, without a socket: the same for sync, async, and TLS inside TLS (an https proxy)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TLS_ERRORS = (ssl.SSLError, ssl.CertificateError, ValueError)
"""Exceptions that a handshake raises; ``ValueError`` for a host name that cannot be verified."""


class TLSSession:
    """State of one TLS connection.

    After each ``run_step`` send the bytes that ``take_outgoing`` returns. While ``wants_more`` is true, pass received
    bytes to ``receive`` and run the step again.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self.wants_more = False

    def run_step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Run a step and return its result, which has no meaning while ``wants_more`` is true."""
        self.wants_more = False
        try:
            return step(*arguments)
        except ssl.SSLWantReadError:
            self.wants_more = True

    def do_handshake(self) -> None:
        """Agree on keys and verify the certificate (a step)."""
        self.ssl_object.do_handshake()

    def peer_certificate(self) -> Mapping[str, Any] | None:
        """Return the server's certificate although it was refused; None where Python cannot tell."""
        # The public methods return nothing before a handshake has succeeded.
        chain = getattr(getattr(self.ssl_object, "_sslobj", None), "get_unverified_chain", None)
        try:
            certificates = chain() if chain is not None else None
            info: Mapping[str, Any] | None = certificates[0].get_info() if certificates else None
        except (ssl.SSLError, ValueError, AttributeError):
            return None
        return info

    def read(self, max_bytes: int) -> bytes:
        """Return decrypted bytes (a step); none at the end of the connection.

        A connection that was closed without a TLS alert ends in the same way: the body's own framing shows if it is
        complete.
        """
        try:
            return self.ssl_object.read(max_bytes)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._outgoing.read()  # drop the alert that responds to the end: the peer no longer reads
            return b""

    def write(self, data: memoryview) -> None:
        """Encrypt all of ``data`` (a step); the outgoing buffer has no limit."""
        self.ssl_object.write(data)

    def take_outgoing(self) -> bytes:
        """Remove and return the bytes to send now."""
        return self._outgoing.read()

    def receive(self, data: bytes) -> None:
        """Take received bytes; empty bytes mean that the peer closed the connection."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
