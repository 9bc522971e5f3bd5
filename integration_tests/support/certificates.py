"""An authority of a test, and the certificates that it issues, as PEM files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """A certificate authority; its files lie in ``folder``."""

    folder: Path
    name: str = "authority"
    _key: ec.EllipticCurvePrivateKey = field(init=False)
    _certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self.name, self._key).issuer_name(_named(self.name))
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        Path(self.bundle).write_bytes(_pem(self._certificate))

    @property
    def bundle(self) -> str:
        """The path of its own certificate, which whoever trusts it names."""
        return str(self.folder / f"{self.name}.pem")

    def issue(self, name: str, *, days: float = 1, password: str | None = None) -> tuple[str, str]:
        """Issue a certificate for 127.0.0.1 and localhost; return its path and that of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, days=days).issuer_name(self._certificate.subject)
        names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost"), x509.DNSName("model.example")]
        certificate = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(
            self._key, hashes.SHA256()
        )
        paths = self.folder / f"{self.name}-{name}.pem", self.folder / f"{self.name}-{name}.key"
        hidden = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        paths[0].write_bytes(_pem(certificate))
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
        return str(paths[0]), str(paths[1])

    def server(self, *, wants: Authority | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """Make a server's context, with a certificate of this authority; it may demand one of another."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server"))
        if version is not None:
            context.maximum_version = version
        if wants is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(wants.bundle)
        return context


def _builder(name: str, key: ec.EllipticCurvePrivateKey, *, days: float = 1) -> x509.CertificateBuilder:
    ends = datetime.now(UTC) + timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(_named(name)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(ends - timedelta(days=abs(days) + 1)).not_valid_after(ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
