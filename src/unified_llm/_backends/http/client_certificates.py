"""Client certificates: loaded into an SSL context, and what is wrong with them in words."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any

from unified_llm._core.hidden import Hidden
from unified_llm._lib.local_files import check_file

if TYPE_CHECKING:
    from unified_llm._core.client_certificate import ClientCertificate

_TO_PEM = "convert it to PEM, such as with openssl pkcs12 -nodes"


class ClientCertificateError(OSError):
    """A client certificate cannot be used. The message says why, without the password."""


def load(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """Load a client certificate into a context.

    Raises:
        ClientCertificateError: It cannot be used.
    """
    problem = _load(context, certificate)
    if problem:
        raise ClientCertificateError(problem)


def find_problem(certificate: ClientCertificate) -> str | None:
    """Return why a client certificate cannot be used, and what to do; None where it can. It ends without a period."""
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate) or _find_expiry(certificate.certificate)


def _load(context: ssl.SSLContext, certificate: ClientCertificate) -> str | None:
    for path in certificate.paths:
        try:
            check_file(path)
        except (OSError, ValueError) as error:
            return _unreadable(path, error)
    password = _Password(certificate)
    try:
        context.load_cert_chain(certificate.certificate, certificate.key, password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        return _explain(certificate, password, error)
    return None


class _Password:
    """Gives the password of a key. Without it, OpenSSL would ask for one on the terminal."""

    def __init__(self, certificate: ClientCertificate) -> None:
        self.given = certificate.password
        self.was_asked = False

    def __call__(self) -> str:
        self.was_asked = True
        return self.given.value if isinstance(self.given, Hidden) else ""


def _explain(certificate: ClientCertificate, password: _Password, error: Exception) -> str:
    key = certificate.paths[-1]
    for path, holds, what in (
        (certificate.certificate, b"-----BEGIN CERTIFICATE-----", "certificate"),
        (key, b"PRIVATE KEY-----", "private key"),
    ):
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - a path as the user wrote it
                content = file.read()
        except OSError as unreadable:
            return _unreadable(path, unreadable)
        if holds not in content:
            advice = f"; {_TO_PEM}" if b"-----BEGIN" not in content else ""
            in_two = "; where the key is in another file, write client_cert=(certificate, key)"
            return f"{path} has no {what}{advice or (in_two if what == 'private key' else '')}"
    reason = str(getattr(error, "reason", None) or type(error).__name__)
    if "KEY_VALUES_MISMATCH" in reason or "KEY_TYPE_MISMATCH" in reason:
        return f"the key in {key} is not that of the certificate in {certificate.certificate}"
    if password.was_asked:
        if isinstance(password.given, Hidden):
            return f"the password is not that of the key in {key}"
        left_out = ", which was left out of a pickle or dump" if password.given else ""
        return f"the key in {key} needs a password{left_out}: write client_cert=(certificate, key, password)"
    return f"{' and '.join(certificate.paths)} cannot be read as certificate and key ({reason})"


def _unreadable(path: str, error: Exception) -> str:
    return f"{path} cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"


def _find_expiry(path: str) -> str | None:
    """Return that a certificate has expired, or is not valid yet; None also where Python cannot tell."""
    decode: Any = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)  # no public function reads a file
    try:
        info: dict[str, str] = decode(path)
        begins, ends = (ssl.cert_time_to_seconds(info[name]) for name in ("notBefore", "notAfter"))
    except (OSError, TypeError, ValueError, KeyError):
        return None
    if time.time() > ends:
        return f"the certificate in {path} expired on {info['notAfter']}: renew it"
    if time.time() < begins:
        return f"the certificate in {path} is not valid before {info['notBefore']}: check the clock of this machine"
    return None
