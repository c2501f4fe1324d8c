"""Certificates of every kind, made for one test run."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Certificate:
    """Two PEM files for a server."""

    certfile: Path
    keyfile: Path


@dataclass(frozen=True)
class Certificates:
    """`good`, `wrong_name` and `expired` are issued by the authority in `ca_file`; `self_signed` by nobody. All but one say 127.0.0.1."""

    ca_file: Path
    good: Certificate
    wrong_name: Certificate
    expired: Certificate
    self_signed: Certificate


def make(directory: Path) -> Certificates:
    """Makes them all in `directory`."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    now = datetime.datetime.now(datetime.UTC)
    ago = [now - datetime.timedelta(days=days) for days in (30, 1)]
    return Certificates(
        ca_file,
        good=_write(directory, "good", authority.issue_cert("127.0.0.1", "localhost")),
        wrong_name=_write(directory, "wrong_name", authority.issue_cert("elsewhere.example")),
        expired=_write(directory, "expired", authority.issue_cert("127.0.0.1", "localhost", not_before=ago[0], not_after=ago[1])),
        self_signed=_self_signed(directory, now),
    )


def _write(directory: Path, name: str, leaf: trustme.LeafCert) -> Certificate:
    made = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
    leaf.private_key_pem.write_to_path(str(made.keyfile))
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(str(made.certfile), append=number > 0)
    return made


def _self_signed(directory: Path, now: datetime.datetime) -> Certificate:
    made = Certificate(directory / "self_signed.pem", directory / "self_signed.key")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False).sign(key, hashes.SHA256())
    made.certfile.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.keyfile.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return made
