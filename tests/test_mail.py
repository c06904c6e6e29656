"""The letter as a mail, and what is said about every way in which a mail server can refuse or lose it."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.post_office import BROKEN, ME, PASSWORD, USER, Authority, PostOffice, make_authority
from tracker import mail
from tracker.errors import ConfigError, TrackerError, Unavailable
from tracker.letter import Letter
from tracker.mail import InDoubt, Refused, compose, lacking, send
from tracker.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
LETTER = Letter(
    "Your income in May 2026",
    "Recurring 1.234,56 €\n.a line that begins with a point\n" + "long " * 250 + "\n",
    "<!doctype html><title>May</title><p>Recurring 1.234,56 €" + " long" * 250 + "</p>\n",
)


def composed(**more: Any) -> EmailMessage:
    given = {"sender": USER, "recipient": ME, "message_id": "<letter-2026-05-abc@example.com>"}
    return compose(LETTER, **{**given, "date": datetime(2026, 6, 3, 8, 0, tzinfo=ZoneInfo("Europe/Berlin")), **more})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with PostOffice() as office:
        yield office


def failure(settings: Settings, message: EmailMessage | None = None) -> TrackerError:
    with pytest.raises(TrackerError) as error:
        send(message or composed(), settings)
    return error.value


# --- the mail ---


def test_a_letter_is_one_mail_of_text_and_html(accept: bool) -> None:
    told = composed().as_bytes()
    text, file = told.decode("ascii").replace("\r\n", "\n"), GOLDEN / "mail.eml"
    if accept:
        file.write_text(text, "ascii")
    assert text == file.read_text("ascii")
    read = message_from_bytes(told, policy=policy.default)
    parts = list(read.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    read_back = [part.get_content().replace("\r\n", "\n") for part in parts]
    assert read_back == [LETTER.text, LETTER.html]
    assert all(line.endswith(b"\r\n") and len(line) <= 998 for line in told.splitlines(keepends=True))


def test_its_headers_say_what_it_is() -> None:
    read = message_from_bytes(composed().as_bytes(), policy=policy.default)
    assert dict(read.items()) | {"Content-Type": ""} == {
        "From": f"Income tracker <{USER}>",
        "To": ME,
        "Subject": "Your income in May 2026",
        "Date": "Wed, 03 Jun 2026 08:00:00 +0200",
        "Message-ID": "<letter-2026-05-abc@example.com>",
        "List-Unsubscribe": f"<mailto:{USER}?subject=unsubscribe%20me%40example.com>",
        "Auto-Submitted": "auto-generated",
        "Content-Language": "en",
        "MIME-Version": "1.0",
        "Content-Type": "",
    }


def test_long_addresses_stay_whole_in_their_headers() -> None:
    long = "somebody.with.a.very.long.name.indeed@mail.of-a-house-with-a-long-name.example.com"
    told = composed(sender=long, recipient=long, message_id=f"<letter-2026-05-{'a' * 40}@{long[-44:]}>").as_bytes()
    assert f"List-Unsubscribe: <mailto:{long}?subject=unsubscribe%20".encode() in told
    assert b"=?utf-8" not in told


def test_a_line_break_in_a_header_makes_no_other_header() -> None:
    subject = "May\r\nBcc: everybody@example.com"
    told = compose(
        Letter(subject, "", ""), sender=USER, recipient=ME, message_id="<a@b>", date=datetime.now(ZoneInfo("UTC"))
    )
    assert (told["Bcc"], told["Subject"]) == (None, "May Bcc: everybody@example.com")
    with pytest.raises(ValueError, match="CR"):
        composed(recipient="me@example.com\r\nBcc: everybody@example.com")


@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ({}, ["SMTP_HOST", "LETTER_FROM", "LETTER_TO"]),
        ({"smtp_host": "localhost", "letter_from": USER, "letter_to": ME}, []),
        ({"smtp_host": "localhost", "letter_from": USER, "letter_to": ME, "smtp_user": "u"}, ["SMTP_PASSWORD"]),
        ({"smtp_host": "localhost", "letter_from": USER, "letter_to": ME, "smtp_password": "p"}, ["SMTP_USER"]),
    ],
)
def test_settings_that_are_still_to_be_made_are_named(more: dict[str, Any], lacks: list[str], tmp_path: Path) -> None:
    assert lacking(Settings(data_dir=tmp_path, **more)) == [f"TRACKER_{name}" for name in lacks]


# --- how it is handed over ---


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_mail_is_handed_over_whole(security: str, mechanism: str, authority: Authority, plain: Settings) -> None:
    files = None if security == "none" else (authority.certificate, authority.key)
    without = [one for one in ("PLAIN", "LOGIN") if one != mechanism]
    with PostOffice(tls=security, files=files, auth_exclude_mechanism=without) as office:
        login = {"smtp_user": USER, "smtp_password": PASSWORD, "smtp_ca_file": authority.ca}
        send(composed(), office.settings(plain, **login))
    (taken,) = office.mails
    assert (taken.sender, taken.recipient, taken.text) == (USER, ME, composed().as_bytes())
    assert office.logins == [(USER, PASSWORD)]


def test_the_text_is_announced_before_and_the_taking_reported_after(office: PostOffice, plain: Settings) -> None:
    told: list[list[str]] = []

    def note() -> None:
        told.append(list(office.steps))

    send(composed(), office.settings(plain), before_text=note, taken=note)
    assert told == [["MAIL", "RCPT"], ["MAIL", "RCPT", "DATA", "TEXT"]]


def test_nothing_is_handed_over_when_its_announcement_fails(office: PostOffice, plain: Settings) -> None:
    def fail() -> None:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        send(composed(), office.settings(plain), before_text=fail)
    assert (office.mails, office.steps) == ([], ["MAIL", "RCPT"])


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(plain: Settings) -> None:
    with PostOffice() as office:
        error = failure(office.settings(plain), composed(recipient="jörg@example.com"))
        assert isinstance(error, Refused)
        assert "takes only addresses in ASCII, unlike jörg@example.com. Set TRACKER_LETTER_FROM" in str(error)
        assert office.steps == []
    with PostOffice(enable_SMTPUTF8=True) as office:
        send(composed(recipient="jörg@example.com"), office.settings(plain))
        assert office.mails[0].recipient == "jörg@example.com"
        assert "\r\nTo: jörg@example.com\r\n".encode() in office.mails[0].text


# --- what can go wrong ---


@pytest.mark.parametrize(
    ("step", "answer", "kind", "says"),
    [
        ("AUTH", "535 5.7.8 bad credentials", ConfigError, "the login: 535 5.7.8 bad credentials. Check TRACKER_SMTP"),
        ("AUTH", "454 4.7.0 try later", Unavailable, "refused the login: 454 4.7.0 try later."),
        ("MAIL", "553 5.7.1 not yours", ConfigError, "sender tracker@example.com: 553 5.7.1 not yours. Check"),
        ("MAIL", "530 5.7.0 log in first", ConfigError, "530 5.7.0 log in first. Check whether"),
        ("MAIL", "552 too large", Refused, "the sender tracker@example.com: 552 too large. Use a mail server"),
        ("MAIL", "451 try later", Unavailable, "451 try later."),
        ("RCPT", "450 4.2.0 greylisted", Unavailable, "refused the recipient me@example.com: 450 4.2.0 greylisted."),
        ("RCPT", "550 5.1.1 no such user", Refused, "the recipient me@example.com: 550 5.1.1 no such user. Check"),
        ("RCPT", BROKEN, Unavailable, "broke off the connection; it was at the recipient me@example.com."),
        ("DATA", "451 busy", Unavailable, "refused the letter: 451 busy."),
        ("DATA", "554 no mails", Refused, "refused the letter: 554 no mails."),
        ("DATA", BROKEN, Unavailable, "broke off the connection; it was at the letter."),
        ("TEXT", "451 try later", Unavailable, "refused the letter: 451 try later."),
        ("TEXT", "554 5.7.1 spam", Refused, "refused the letter: 554 5.7.1 spam."),
        ("TEXT", BROKEN, InDoubt, "got the whole letter, but then the connection broke: it may have been sent or not."),
        ("TEXT", "what?", InDoubt, "got the whole letter, but then the connection broke"),
    ],
)  # fmt: skip
def test_every_refusal_says_what_was_refused_and_whether_to_try_again(
    step: str, answer: str, kind: type[TrackerError], says: str, office: PostOffice, plain: Settings
) -> None:
    office.answers[step] = answer
    error = failure(office.settings(plain, smtp_user=USER, smtp_password=PASSWORD))
    assert type(error) is kind
    assert str(error).startswith(f"the mail server localhost:{office.port} ")
    assert says in str(error)


@pytest.mark.parametrize("echo", ["hush 4711", "aHVzaCA0NzEx", "AHRyYWNrZXJAZXhhbXBsZS5jb20AaHVzaCA0NzEx"])
def test_a_server_that_repeats_the_password_does_not_make_us_repeat_it(
    echo: str, office: PostOffice, plain: Settings
) -> None:
    office.answers["AUTH"] = f"535 you said {echo}, and I say no"
    told = str(failure(office.settings(plain, smtp_user=USER, smtp_password="hush 4711")))
    assert "535 you said ***, and I say no." in told
    assert echo not in told


def test_a_mail_that_is_larger_than_the_server_takes_is_not_begun(plain: Settings) -> None:
    with PostOffice(data_size_limit=2000) as office:
        error = failure(office.settings(plain))
    assert isinstance(error, Refused)
    assert re.search(r"takes 2000 bytes at most, and the letter has \d+\. Use a mail server", str(error))
    assert office.steps == []


def test_a_server_without_login_is_told_from_one_that_refuses_it(plain: Settings) -> None:
    with PostOffice(auth_exclude_mechanism=["PLAIN", "LOGIN"]) as office:
        error = failure(office.settings(plain, smtp_user=USER, smtp_password=PASSWORD))
    assert isinstance(error, ConfigError)
    assert "offers no login by password, but: none. Look for an app password" in str(error)


# --- TLS ---


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_known_is_refused(security: str, authority: Authority, plain: Settings) -> None:
    with PostOffice(tls=security, files=(authority.certificate, authority.key)) as office:
        error = failure(office.settings(plain, smtp_user=USER, smtp_password=PASSWORD))
        assert isinstance(error, ConfigError)
        assert "shows a certificate that is not accepted: unable to get local issuer certificate." in str(error)
        assert "name its authority in TRACKER_SMTP_CA_FILE" in str(error)
    assert (office.steps, office.logins) == ([], [])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_for_another_name_is_refused(security: str, tmp_path: Path, plain: Settings) -> None:
    other = make_authority(tmp_path, names=("mail.example", "192.0.2.1"))
    with PostOffice(tls=security, files=(other.certificate, other.key)) as office:
        error = failure(office.settings(plain, smtp_ca_file=other.ca))
    assert isinstance(error, ConfigError)
    assert "Hostname mismatch, certificate is not valid for 'localhost'." in str(error)
    assert "Use the server's own name in TRACKER_SMTP_HOST" in str(error)
    assert office.steps == []


def test_nothing_is_ever_sent_in_the_open_where_starttls_is_wanted(plain: Settings) -> None:
    with PostOffice() as office:
        error = failure(office.settings(plain, smtp_security="starttls", smtp_user=USER, smtp_password=PASSWORD))
    assert isinstance(error, ConfigError)
    assert "offers no STARTTLS, and nothing is sent in the open. If it speaks TLS from the start" in str(error)
    assert (office.steps, office.logins) == ([], [])


def test_tls_at_a_port_that_does_not_speak_it_names_the_usual_ports(office: PostOffice, plain: Settings) -> None:
    error = failure(office.settings(plain, smtp_security="tls"))
    assert isinstance(error, ConfigError)
    assert "Port 587 goes with TRACKER_SMTP_SECURITY=starttls, port 465 with tls." in str(error)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_named(content: str | None, plain: Settings, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with PostOffice() as office:
        error = failure(office.settings(plain, smtp_ca_file=file))
    assert isinstance(error, ConfigError)
    assert str(error).startswith(f"{file} holds no certificate that can be read. TRACKER_SMTP_CA_FILE is to name")


# --- the line ---


@contextmanager
def scripted(*answers: bytes) -> Iterator[int]:
    """A server that says these, one for each time it is talked to, the first by itself; then it is silent."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def talk() -> None:
        with listener.accept()[0] as line:
            for number, answer in enumerate(answers):
                if (number and not line.recv(4096)) or not answer:
                    return
                line.sendall(answer)
            ended.wait(20)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        listener.close()


def at(plain: Settings, port: int, **more: Any) -> Settings:
    given = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", "timeout_s": 1}
    return Settings(data_dir=plain.data_dir, letter_from=USER, letter_to=(ME,), **{**given, **more})


@pytest.mark.parametrize(
    ("answers", "kind", "says"),
    [
        ([], Unavailable, "did not answer in 1 s. If it never does: port 587 goes with"),
        ([b""], Unavailable, "broke off the connection; it was at the connection."),
        ([b"421 too busy\r\n"], Unavailable, "refused the connection: 421 too busy."),
        ([b"554 go away\r\n"], ConfigError, "refused the connection: 554 go away. Check TRACKER_SMTP_HOST"),
        ([b"HTTP/1.1 400 Bad Request\r\n"], ConfigError, "does not answer as a mail server does. Check"),
        ([b"220 hello\r\n", b"502 what?\r\n"], ConfigError, "refused the connection: 502 what?. Check"),
        ([b"220 " + b"x" * 9000], ConfigError, "refused the connection: 500 Line too long."),
    ],
)  # fmt: skip
def test_whatever_answers_in_place_of_a_mail_server_is_told(
    answers: list[bytes], kind: type[TrackerError], says: str, plain: Settings
) -> None:
    with scripted(*answers) as port:
        error = failure(at(plain, port))
    assert type(error) is kind
    assert says in str(error)


def test_a_server_that_goes_silent_is_left(plain: Settings) -> None:
    with scripted(b"220 hello\r\n", b"250 OK\r\n", b"250 OK\r\n") as port:
        error = failure(at(plain, port))
    assert isinstance(error, Unavailable)
    assert "did not answer in 1 s." in str(error)


def test_a_server_that_never_comes_to_an_end_is_cut_off(plain: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TALK_MAX_S", 0.2)
    with scripted(b"220 hello\r\n", b"250-and so on\r\n" * 10) as port:
        error = failure(at(plain, port, timeout_s=20))
    assert isinstance(error, Unavailable)
    assert "broke off the connection" in str(error)


def test_a_port_where_nobody_listens_is_told(plain: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    error = failure(at(plain, port))
    assert isinstance(error, Unavailable)
    assert str(error).startswith(f"the mail server 127.0.0.1:{port} does not run. Check TRACKER_SMTP_HOST and")


def test_a_host_that_does_not_exist_is_told(plain: Settings) -> None:
    error = failure(at(plain, 25, smtp_host="mail.invalid", smtp_security="tls"))
    assert isinstance(error, Unavailable)
    assert str(error).startswith("the mail server mail.invalid:25 is not known. Check TRACKER_SMTP_HOST and this")


def test_a_line_that_breaks_in_the_tls_handshake_is_tried_again(plain: Settings) -> None:
    with scripted(b"220 hello\r\n", b"250-me\r\n250 STARTTLS\r\n", b"220 go\r\n", b"") as port:
        error = failure(at(plain, port, smtp_security="starttls", smtp_host="localhost"))
    assert isinstance(error, Unavailable)
    assert "broke off the connection; it was at STARTTLS." in str(error)
