"""A mail server on a loopback port that a test can make refuse, break off or hold a mail; and certificates for it."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tracker.settings import Settings

#: In place of an answer: the line goes dead.
BROKEN = "broken"
USER, PASSWORD = "tracker@example.com", "hush-ü-4711"
ME = "me@example.com"


class Mail(NamedTuple):
    sender: str
    recipient: str
    text: bytes


class PostOffice:
    """`answers` holds what is said at a step in place of yes: AUTH, MAIL, RCPT, DATA (the command), TEXT (the mail).

    A mail that is answered at TEXT by `BROKEN` was taken all the same. `before` holds what is done before an answer.
    """

    def __init__(self, *, tls: str = "none", files: tuple[Path, Path] | None = None, **more: Any) -> None:
        self.mails: list[Mail] = []
        self.steps: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.answers: dict[str, str] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.security, self._more, self._protocols = tls, more, set[Any]()
        context = None
        if files:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*files)
        self._starttls = context if tls == "starttls" else None
        self._loop = asyncio.new_event_loop()
        listening = self._loop.create_server(self._talk, "127.0.0.1", 0, ssl=context if tls == "tls" else None)
        self._server = self._loop.run_until_complete(listening)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def _talk(self) -> SMTP:
        talk = _Talk(
            self, hostname="post.example", loop=self._loop, tls_context=self._starttls, authenticator=self._log_in,
            auth_require_tls=False, **self._more,
        )  # fmt: skip
        self._protocols.add(talk)
        return talk

    def _log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        if answer := self.answers.get("AUTH"):
            return AuthResult(success=False, handled=False, message=answer)
        return AuthResult(success=self.logins[-1] == (USER, PASSWORD), handled=False)

    def answer(self, step: str, protocol: Any, yes: str) -> str:
        self.steps.append(step)
        self.before.get(step, lambda: None)()
        told = self.answers.get(step, yes)
        if told == BROKEN:
            assert protocol.transport  # told BROKEN: nothing of what is returned gets out
            protocol.transport.abort()
        return told

    # --- what aiosmtpd asks of its handler ---

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        told = self.answer("MAIL", server, "250 OK")
        envelope.mail_from = address if told.startswith("2") else None
        return told

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        told = self.answer("RCPT", server, "250 OK")
        if told.startswith("2"):
            envelope.rcpt_tos.append(address)
        return told

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers.get("TEXT", "2")[0] in f"2{BROKEN[0]}":
            self.mails += [Mail(envelope.mail_from, one, envelope.original_content) for one in envelope.rcpt_tos]
        return self.answer("TEXT", server, "250 taken")

    # --- the test's side ---

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(timeout=20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _hang_up(self) -> None:
        self._server.close()
        for protocol in self._protocols:
            if protocol.transport:
                protocol.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
        await asyncio.sleep(0)  # transports close in the round after the one in which they are told to

    def settings(self, settings: Settings, **more: Any) -> Settings:
        """The same with mail that goes here."""
        values = settings.model_dump() | {"smtp_host": "localhost", "smtp_port": self.port}
        values |= {"smtp_security": self.security, "letter_from": USER, "letter_to": ME, "timeout_s": 20}
        return Settings(**values | more)


class _Talk(SMTP):
    def __init__(self, office: PostOffice, **more: Any) -> None:
        super().__init__(office, **more)
        self.office = office

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        told = self.office.answer("DATA", self, "")
        if not told:
            await super().smtp_DATA(arg)
        elif told != BROKEN:
            await self.push(told)


# --- certificates ---


def make_authority(folder: Path, name: str = "Home CA", *, names: tuple[str, ...] = ("localhost",)) -> "Authority":
    """A throw-away authority that signed one certificate for the given names."""
    key, own = ec.generate_private_key(ec.SECP256R1()), _named(name)
    root = _signed(own, own, key.public_key(), key, x509.BasicConstraints(ca=True, path_length=None))
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    alternative = x509.SubjectAlternativeName([_alternative(one) for one in names])
    leaf = _signed(_named(names[0]), own, leaf_key.public_key(), key, alternative)
    files = Authority(folder / f"{name}-ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    files.ca.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(leaf_key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return files


class Authority(NamedTuple):
    ca: Path
    certificate: Path
    key: Path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def _signed(subject: x509.Name, issuer: x509.Name, public: Any, key: Any, extension: Any) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
