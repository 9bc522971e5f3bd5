"""The certificate by which a client identifies itself to servers (mutual TLS)."""

from __future__ import annotations

from typing import Any

from unified_llm._core.api_key import OmittedKey
from unified_llm._core.hidden import Hidden


class ClientCertificate:
    """A client certificate and its key. Immutable; the password is in no repr and no pickle.

    Args:
        certificate: The path of a PEM file with the certificate, and those of intermediate authorities after it.
        key: The path of a PEM file with its private key; None where it is in the same file.
        password: That of the key; ``OmittedKey.KEY`` where a pickle or a dump left it out.
    """

    __slots__ = ("certificate", "key", "password")

    def __init__(
        self, certificate: str, key: str | None = None, password: Hidden[str] | OmittedKey | None = None
    ) -> None:
        self.certificate, self.key, self.password = certificate, key, password

    @property
    def paths(self) -> tuple[str, ...]:
        """The files to read."""
        return (self.certificate,) if self.key is None else (self.certificate, self.key)

    def __repr__(self) -> str:
        """Hide the password."""
        shown = [*map(repr, self.paths), *(["password='***'"] if self.password else [])]
        return f"ClientCertificate({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        """Compare paths and passwords."""
        return isinstance(other, ClientCertificate) and other.as_tuple() == self.as_tuple()

    def __hash__(self) -> int:
        """Hash paths and password."""
        return hash(self.as_tuple())

    def as_tuple(self) -> tuple[object, ...]:
        """Return its parts."""
        return self.certificate, self.key, self.password

    def __copy__(self) -> ClientCertificate:
        """Return itself."""
        return self

    def __deepcopy__(self, memo: object) -> ClientCertificate:
        """Return itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the password."""
        return ClientCertificate, (self.certificate, self.key, OmittedKey.KEY if self.password else None)
