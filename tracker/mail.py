"""The letter as a mail, and the talk with the mail server. Nothing here knows of the database.

What can go wrong is one of four errors, named by what is to be done:

    ConfigError    the settings are wrong (login, certificate, no TLS, sender): put them right
    Unavailable    the server cannot be reached, or asks to come back later (greylisting): try again
    Refused        this letter or recipient is refused for good: trying again is no use
    InDoubt        the whole text was handed over and the answer never came: it may have been sent, so only a person
                   can decide to send it again

Sources: RFC 5321 (SMTP), 3207 (STARTTLS), 4616 (login PLAIN), 1870 (SIZE), 6531 (SMTPUTF8).
"""

import re
import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import partial
from hashlib import sha256
from threading import Timer
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from tracker.errors import ConfigError, TrackerError, Unavailable
from tracker.settings import Settings

if TYPE_CHECKING:  # making one takes libraries that take long to load, and handing one over does not
    from tracker.letter import Letter

#: The whole talk about one letter, however slowly a server answers.
TALK_MAX_S = 20 * 60
#: A server that looks through a mail before it takes it may need ten times as long as otherwise (RFC 5321, 4.5.3.2).
PATIENCE = 10
GOODBYE_S = 5

_WHERE = "Check TRACKER_SMTP_HOST and TRACKER_SMTP_PORT."
_TOO_LARGE = "Use a mail server that takes larger mails."

Step = Callable[[], None]


class Refused(TrackerError):
    """The mail server refuses this letter, or this recipient, for good."""


class InDoubt(TrackerError):
    """The text was handed over, but the server's answer never came."""


def lacking(settings: Settings) -> list[str]:
    """The settings that are still to be made before a letter can be sent."""
    needed: dict[str, object] = {
        "smtp_host": settings.smtp_host,
        "letter_from": settings.letter_from,
        "letter_to": settings.letter_to,
        "smtp_user": settings.smtp_user or not settings.smtp_password,
        "smtp_password": settings.smtp_password or not settings.smtp_user,
    }
    return [f"TRACKER_{name.upper()}" for name, value in needed.items() if not value]


# --- the mail ---


class _MailPolicy(EmailPolicy):
    """CRLF; and addresses inside a header are never cut into encoded words, which the library does to long ones."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name in ("List-Unsubscribe", "Message-ID"):
            return f"{name}: {value}\r\n".encode("ascii")
        return super().fold_binary(name, value)


_PLAIN = _MailPolicy(linesep="\r\n")
_BEYOND_ASCII = _PLAIN.clone(utf8=True)


def compose(letter: "Letter", *, sender: str, recipient: str, message_id: str, date: datetime) -> EmailMessage:
    """The mail, as text and as HTML. Addresses are bare; `message_id` has its angle brackets; `date` is aware."""
    message = EmailMessage(policy=_PLAIN)
    message["From"] = _address(letter.sender, sender)
    message["To"] = _address("", recipient)
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = format_datetime(date)
    message["Message-ID"] = message_id
    # A mail to the sender is all there can be without a web address (RFC 2369). RFC 3834 keeps auto-repliers quiet.
    message["List-Unsubscribe"] = f"<mailto:{quote(sender, safe='@')}?subject=unsubscribe%20{quote(recipient)}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = letter.language  # at the end, because what is called Content goes into the first part
    # The same letter is the same bytes. "=_" cannot stand in quoted-printable text, so no line there ends a part.
    message.set_boundary("=_" + sha256(message_id.encode()).hexdigest()[:32])
    return message


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


# --- the talk ---


def send(
    message: EmailMessage, settings: Settings, *, before_text: Step = lambda: None, taken: Step = lambda: None
) -> None:
    """Hand one mail to the mail server of the settings. Raises the errors named above.

    `before_text` is called when the server has accepted sender and recipient, before it gets any of the text; `taken`
    as soon as it has said that the mail is now its own. What they raise goes through.
    """
    talk = _Talk(settings)
    with talk.explained(), ExitStack() as ending:
        talk.open(ending)
        talk.hand_over(message, before_text, taken)
        talk.end()


class _Talk:
    """One conversation. `doing` is what an error is about."""

    smtp: smtplib.SMTP

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.where = f"the mail server {settings.smtp_host}:{settings.smtp_port}"
        self.doing = "the connection"
        self.handed_over = False

    def open(self, ending: ExitStack) -> None:
        """Connect, TLS and login as the settings want it."""
        s = self.settings
        context = self.context()
        kind = partial(smtplib.SMTP_SSL, context=context) if s.smtp_security == "tls" else smtplib.SMTP
        # The machine's own name is nobody's business, and looking it up can take long.
        self.smtp = kind(s.smtp_host or "", s.smtp_port, local_hostname="[127.0.0.1]", timeout=s.timeout_s)
        ending.callback(self.smtp.close)
        limit = Timer(TALK_MAX_S, self.cut)
        limit.daemon = True
        limit.start()
        ending.callback(limit.cancel)
        self.greet()
        if s.smtp_security == "starttls":
            self.start_tls(context)
        if s.smtp_user and s.smtp_password:
            self.log_in(s.smtp_user, s.smtp_password.get_secret_value())

    def context(self) -> ssl.SSLContext:
        file = self.settings.smtp_ca_file
        try:
            return ssl.create_default_context(cafile=file and str(file))
        except OSError as error:
            raise ConfigError(
                f"{file} holds no certificate that can be read.",
                hint="TRACKER_SMTP_CA_FILE is to name a PEM file with the certificate of your authority.",
            ) from error

    def greet(self) -> None:
        code, answer = self.smtp.ehlo()
        if code != 250:
            self.refused(code, answer, ConfigError, _WHERE)

    def start_tls(self, context: ssl.SSLContext) -> None:
        if not self.smtp.has_extn("starttls"):
            raise ConfigError(
                f"{self.where} offers no STARTTLS, and nothing is sent in the open.",
                hint="If it speaks TLS from the start, mostly on port 465, set TRACKER_SMTP_SECURITY=tls.",
            )
        self.doing = "STARTTLS"
        self.smtp.starttls(context=context)
        self.greet()

    def log_in(self, user: str, password: str) -> None:
        """By hand: smtplib takes no password beyond ASCII, and its error would quote it."""
        self.doing = "the login"
        offered = self.smtp.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            steps = {"AUTH PLAIN " + _base64("", user, password): 235}
        elif "LOGIN" in offered:
            steps = {"AUTH LOGIN": 334, _base64(user): 334, _base64(password): 235}
        else:
            raise ConfigError(
                f"{self.where} offers no login by password, but: {' '.join(offered) or 'none'}.",
                hint="Look for an app password or an SMTP relay at your mail provider; if no login is needed, unset "
                "TRACKER_SMTP_USER and TRACKER_SMTP_PASSWORD.",
            )
        for step, expected in steps.items():
            code, answer = self.smtp.docmd(step)
            if code != expected:
                hint = "Check TRACKER_SMTP_USER and TRACKER_SMTP_PASSWORD; many providers want an app password here."
                self.refused(code, answer, ConfigError, hint)

    def hand_over(self, message: EmailMessage, before_text: Step, taken: Step) -> None:
        sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        beyond_ascii = not (sender + recipient).isascii()
        if beyond_ascii and not self.smtp.has_extn("smtputf8"):
            raise Refused(
                f"{self.where} takes only addresses in ASCII, unlike {sender if recipient.isascii() else recipient}.",
                hint="Set TRACKER_LETTER_FROM and TRACKER_LETTER_TO to others, or use another mail server.",
            )
        text = message.as_bytes(policy=_BEYOND_ASCII if beyond_ascii else _PLAIN)
        self.address(sender, recipient, len(text), beyond_ascii)
        before_text()
        self.doing = "the letter"
        code, answer = self.smtp.docmd("DATA")
        if code != 354:
            self.refused(code, answer, Refused)
        self.smtp.send(re.sub(rb"(?m)^\.", b"..", text) + b".\r\n")
        self.handed_over = True  # only from here on: a mail without its last line is none
        self.wait_at_most(self.settings.timeout_s * PATIENCE)
        code, answer = self.smtp.getreply()
        if not 200 <= code < 600:
            raise smtplib.SMTPServerDisconnected
        if code >= 300:
            self.refused(code, answer, Refused)
        taken()

    def address(self, sender: str, recipient: str, size: int, beyond_ascii: bool) -> None:
        self.doing = f"the sender {sender}"
        limit = self.smtp.esmtp_features.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < size:
            raise Refused(f"{self.where} takes {limit} bytes at most, and the letter has {size}.", hint=_TOO_LARGE)
        options = [f"SIZE={size}"] if self.smtp.has_extn("size") else []
        code, answer = self.smtp.mail(sender, options + ["SMTPUTF8", "BODY=8BITMIME"] * beyond_ascii)
        if code == 552:
            self.refused(code, answer, Refused, _TOO_LARGE)
        if code != 250:
            hint = "Check whether this account may send as that (TRACKER_LETTER_FROM), and whether it has to log in."
            self.refused(code, answer, ConfigError, hint)
        self.doing = f"the recipient {recipient}"
        code, answer = self.smtp.rcpt(recipient)
        if code not in (250, 251):
            hint = "Check TRACKER_LETTER_TO, and whether the server wants a login (TRACKER_SMTP_USER)."
            self.refused(code, answer, Refused, hint)

    def end(self) -> None:
        """Say goodbye. Nothing depends on it."""
        self.wait_at_most(GOODBYE_S)
        with suppress(smtplib.SMTPException, OSError):
            self.smtp.quit()

    def wait_at_most(self, seconds: int) -> None:
        if self.smtp.sock:
            self.smtp.sock.settimeout(seconds)

    def cut(self) -> None:
        """End the connection under the thread that talks, which then sees it closed."""
        with suppress(OSError):
            if sock := self.smtp.sock:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, whose state is the other thread's

    # --- what went wrong ---

    def refused(self, code: int, answer: bytes, error: type[TrackerError], hint: str = "") -> NoReturn:
        """The server said no: for now (4xx), or for good."""
        if code < 0:
            raise ConfigError(f"{self.where} does not answer as a mail server does.", hint=_WHERE)
        told = f"{self.where} refused {self.doing}: {code} {self.quoted(answer)}"
        if code < 500:
            raise Unavailable(told)
        raise error(told, hint=hint)

    def quoted(self, answer: bytes) -> str:
        """A server's words in one line, without what it was told in confidence."""
        text = " ".join(answer.decode("utf-8", "replace").split())
        text = "".join(letter for letter in text if letter.isprintable())
        if self.settings.smtp_password:
            user, password = self.settings.smtp_user or "", self.settings.smtp_password.get_secret_value()
            for secret in (_base64("", user, password), _base64(password), password):
                text = text.replace(secret, "***")
        return text[:200].rstrip(" .") + "."

    @contextmanager
    def explained(self) -> Iterator[None]:
        try:
            yield
        except (smtplib.SMTPException, OSError) as error:
            if isinstance(error, smtplib.SMTPResponseException) and not self.handed_over:  # the greeting or STARTTLS
                answer = error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
                self.refused(error.smtp_code, answer, ConfigError, _WHERE)
            raise self.trouble(error) from error

    def trouble(self, error: OSError) -> TrackerError:
        cause = error.__context__ if isinstance(error, smtplib.SMTPException) else error
        if self.handed_over:
            how = "its answer did not come in time" if isinstance(cause, TimeoutError) else "then the connection broke"
            return InDoubt(f"{self.where} got the whole letter, but {how}: it may have been sent or not.")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConfigError(
                f"{self.where} shows a certificate that is not accepted: {cause.verify_message.rstrip('.')}.",
                hint="Use the server's own name in TRACKER_SMTP_HOST and check this machine's clock; for a server with "
                "a certificate of your own, name its authority in TRACKER_SMTP_CA_FILE.",
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ConfigError(
                f"{self.where} does not speak TLS as expected: {cause.reason or 'no reason given'}.",
                hint="Port 587 goes with TRACKER_SMTP_SECURITY=starttls, port 465 with tls.",
            )
        if isinstance(cause, socket.gaierror):
            return Unavailable(
                f"{self.where} is not known.", hint="Check TRACKER_SMTP_HOST and this machine's network."
            )
        if isinstance(cause, TimeoutError):
            hint = "If it never does: port 587 goes with TRACKER_SMTP_SECURITY=starttls, port 465 with tls."
            return Unavailable(f"{self.where} did not answer in {self.settings.timeout_s} s.", hint=hint)
        if isinstance(cause, ConnectionRefusedError):
            return Unavailable(f"{self.where} does not run.", hint=_WHERE)
        return Unavailable(f"{self.where} broke off the connection; it was at {self.doing}.")


def _base64(*parts: str) -> str:
    """As the login wants it: the parts with a NUL between them."""
    return b64encode("\0".join(parts).encode()).decode()
