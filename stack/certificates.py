"""TLS certificates of a stack's own: an authority made once, and a certificate of it for this machine's names.

For a machine of one's own and for trying things: browsers warn until they are told to trust `authority.pem`. A public
server names a real certificate in parley.toml instead.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stack.secrets import write_private

AUTHORITY_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=397)
"""What browsers accept at most."""
RENEWAL = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate (with its chain) and its private key."""

    certificate: Path
    key: Path


def issued(folder: Path, names: Iterable[str]) -> Certificate:
    """Give a certificate for DNS names and addresses, made anew when it lacks one or has under 30 days left.

    `folder` is for its owner alone; the authority's certificate in it, authority.pem, is what people may trust.
    """
    wanted = sorted({"localhost", "127.0.0.1", "::1", socket.gethostname(), *names})
    found = Certificate(folder / "gateway.pem", folder / "gateway.key")
    if not _serves(found, wanted):
        authority, authority_key = _authority(folder)
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(
            "Parley", key.public_key(), authority.subject, authority_key, LIFETIME, wanted
        )
        write_private(found.key, _private(key))
        write_private(found.certificate, _pem(made) + _pem(authority))
    return found


def authority_path(folder: Path) -> Path:
    """Name the file with the authority's certificate."""
    return folder / "authority.pem"


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = authority_path(folder), folder / "authority.key"
    if path.exists() and key_path.exists():
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return x509.load_pem_x509_certificate(path.read_bytes()), key
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"Parley authority of {socket.gethostname()}")
    made = _signed("", key.public_key(), subject, key, AUTHORITY_LIFETIME, ())
    write_private(key_path, _private(key))
    write_private(path, _pem(made))
    return made, key


def _signed(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    lifetime: timedelta,
    names: Iterable[str],
) -> x509.Certificate:
    """Sign a certificate: for servers called `names`, or, without any, the authority's own (RFC 5280 §4.2)."""
    now = datetime.now(UTC)
    names = tuple(names)
    identifier = x509.SubjectKeyIdentifier.from_public_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name) if names else issuer)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None if names else 0), True)
        .add_extension(_usage(is_authority=not names), True)
        .add_extension(identifier(key), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                identifier(issuer_key.public_key())
            ),
            False,
        )
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_alternative(each) for each in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(alternatives, False).add_extension(usage, False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _serves(found: Certificate, names: Iterable[str]) -> bool:
    if not (found.certificate.exists() and found.key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(found.certificate.read_bytes())
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = {str(each.value) for each in san}
    has_time = certificate.not_valid_after_utc - datetime.now(UTC) > RENEWAL
    return has_time and set(names) <= held


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


__all__ = ["Certificate", "authority_path", "issued"]
