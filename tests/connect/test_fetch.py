"""The loop that talks to providers: addresses, certificates, slow answers, renewed tokens, washed messages."""

import itertools
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.pretend import KEY, Asked, Provider, Reply, Server, drip, earning, network
from tests.world import Unhurried
from tracker.connect.auth import client_credentials, query
from tracker.connect.connector import Connector, Details, Resource
from tracker.connect.fetch import Client, Limits, base_url, post_form
from tracker.connect.paging import page_header, page_number, single_page
from tracker.connect.plans import Leg
from tracker.connect.replay import MemoryTokens
from tracker.connect.rows import csv_as_json, decode
from tracker.connect.session import http_session
from tracker.errors import (
    AuthRejected,
    NotFound,
    ProviderError,
    RateLimited,
    RightMissing,
    Unavailable,
    UnexpectedData,
    UsageError,
)

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
LEG = Leg(key="all")


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def server(provider: Provider) -> Iterator[Server]:
    server = Server(provider.answer)
    yield server
    server.close()


Open = Callable[..., Client]


@pytest.fixture
def client(server: Server) -> Iterator[Open]:
    http = http_session(allow_private=True)

    def open_client(connector: Connector = network, **more: Any) -> Client:
        usual: dict[str, Any] = {
            "slug": "pretend", "credentials": {"key": KEY}, "options": {"base_url": server.url},
            "tokens": MemoryTokens(NOW), "http": http, "pace": Unhurried(), "sleep": lambda seconds: None,
        }  # fmt: skip
        return Client(connector, **(usual | more))

    yield open_client
    http.close()


def resource(**more: Any) -> Resource:
    return msgspec.structs.replace(network.resource("commissions"), **more)


# --- pages ---


def test_a_provider_that_ignores_the_page_number_is_found_out(client: Open, provider: Provider) -> None:
    provider.always("/commissions", Reply.json({"rows": [earning("c1")]}))
    numbered = resource(paging=page_number())
    with pytest.raises(UnexpectedData, match="same page twice"):
        list(client().pages(numbered, Leg(key="all")))
    assert len(provider.asked) == 2


def test_an_answer_that_is_no_json_is_converted_before_it_is_split(client: Open, provider: Provider) -> None:
    provider.always("/commissions", Reply(b"Id,Commission\r\nc1,1.10\r\n"))
    table = resource(paging=single_page, rows="", convert=csv_as_json)
    pages = list(client().pages(table, Leg(key="all")))
    assert [bytes(row) for _, page, _ in pages for row in page.rows] == [b'{"id":"c1","commission":"1.10"}']


def test_a_page_number_in_a_header_is_sent(client: Open, provider: Provider) -> None:
    provider.answers["/commissions"] = lambda asked: Reply.json(
        {"rows": [earning(asked.headers["page"])]}, 206 if asked.headers["page"] != "3" else 200
    )
    pages = list(client().pages(resource(paging=page_header("Page", more=206)), Leg(key="all")))
    assert [page.status for _, page, _ in pages] == [206, 206, 200]


def test_a_doubtful_refusal_is_believed_the_second_time(client: Open, provider: Provider) -> None:
    doubtful = msgspec.structs.replace(network, doubtful=(403,))
    answers = [Reply(b"API key is not valid", 403)] * 2
    provider.answers["/commissions"] = lambda asked: answers.pop()
    with pytest.raises(RightMissing, match="API key is not valid"):
        client(doubtful).send("/commissions", {})
    assert answers == []
    answers += [Reply.json({"rows": []}), Reply(b"too many", 403)]
    assert client(doubtful).send("/commissions", {}).status == 200


def test_what_a_provider_says_in_plain_text_is_passed_on(client: Open, provider: Provider) -> None:
    seen: list[Any] = []
    explained = msgspec.structs.replace(network, explain=lambda status, said: seen.append(said))
    provider.always("/commissions", Reply(b"Too fast: 5 requests per minute", 403))
    with pytest.raises(RightMissing, match="Too fast"):
        client(explained).send("/commissions", {})
    provider.always("/commissions", Reply(b"<html>blocked</html>", 403))
    with pytest.raises(Unavailable):
        client(explained, limits=Limits(tries=1)).send("/commissions", {})
    assert seen == ["Too fast: 5 requests per minute", None]


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("http://shop.example", "must be reached by https"),
        ("ftp://shop.example", "must be reached by https"),
        ("https://me:geheim@shop.example", "not a plain address"),
        ("https://shop.example/?key=geheim", "not a plain address"),
        ("shop.example", "not a plain address"),
        ("https://", "not a plain address"),
    ],
)
def test_an_address_that_would_give_the_key_away_is_refused(address: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as refused:
        base_url(network, {"base_url": address})
    assert "geheim" not in str(refused.value)


def test_a_provider_without_an_address_of_its_own_asks_for_one() -> None:
    with pytest.raises(UsageError, match="your site's address"):
        base_url(network, {})


@pytest.mark.parametrize(
    "address", ["https://shop.example/wp/", "http://localhost:8080", "http://[::1]:1", "http://127.0.0.1"]
)
def test_https_and_this_machine_are_fine(address: str) -> None:
    assert base_url(network, {"base_url": address}) == address.rstrip("/")


# --- certificates ---


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_certificate_that_cannot_be_verified_stops_the_call(
    server: Server, provider: Provider, client: Open, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = server.url.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(Unavailable, match="certificate of localhost could not be verified") as refused:
        client(options={"base_url": address}).send("/commissions", {})
    assert "nothing was sent" in str(refused.value)
    assert provider.asked == []


# --- slow and broken answers ---


def test_a_dripping_answer_is_given_up(client: Open, provider: Provider) -> None:
    done, sent = threading.Event(), itertools.count()

    def counted() -> Iterator[bytes]:
        for piece in drip(b" ", 0.01, done):
            next(sent)
            yield piece

    provider.answers["/commissions"] = lambda asked: Reply(counted())
    try:
        with pytest.raises(Unavailable, match="took longer than 0 s"):
            client(limits=Limits(answer_s=0.15, tries=1)).send("/commissions", {})
        assert next(sent) < 200  # of the 300 that three seconds bring
    finally:
        done.set()


def test_an_answer_that_does_not_begin_is_given_up(client: Open, provider: Provider) -> None:
    done = threading.Event()

    def silent(asked: Asked) -> Reply:
        done.wait(5)
        return Reply()

    provider.answers["/commissions"] = silent
    try:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1 did not answer in time"):
            client(limits=Limits(read_s=0.1, tries=1)).send("/commissions", {})
    finally:
        done.set()


def test_a_chunked_compressed_answer_is_read_whole(client: Open, provider: Provider) -> None:
    import zlib

    packer = zlib.compressobj(wbits=31)
    body = msgspec.json.encode({"rows": [{"id": str(number), "text": "x" * 50} for number in range(20_000)]})
    packed = packer.compress(body) + packer.flush()
    pieces = [packed[start : start + 1000] for start in range(0, len(packed), 1000)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    provider.answers["/commissions"] = lambda asked: Reply(chunks, headers=headers)
    assert client().send("/commissions", {}).body == body


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 300_000])
def test_an_answer_of_any_size_below_the_limit_is_read_whole(client: Open, provider: Provider, size: int) -> None:
    provider.answers["/commissions"] = lambda asked: Reply(b"x" * size)
    assert client(limits=Limits(body_bytes=300_000)).send("/commissions", {}).body == b"x" * size


def test_one_byte_too_many_is_refused(client: Open, provider: Provider) -> None:
    provider.answers["/commissions"] = lambda asked: Reply(b"x" * 300_001)
    with pytest.raises(UnexpectedData, match="larger than"):
        client(limits=Limits(body_bytes=300_000)).send("/commissions", {})


# --- statuses ---


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (400, UnexpectedData, "refused the request (400)"),
        (401, AuthRejected, "refused the credentials"),
        (404, NotFound, "has nothing at /commissions"),
        (408, Unavailable, "in trouble (408)"),
        (418, UnexpectedData, "(418)"),
        (429, RateLimited, "slow down"),
        (500, Unavailable, "in trouble (500)"),
        (503, Unavailable, "in trouble (503)"),
    ],
)
def test_a_status_becomes_an_error_that_says_what_to_do(
    client: Open, provider: Provider, status: int, error: type[ProviderError], said: str
) -> None:
    provider.answers["/commissions"] = lambda asked: Reply.json({"message": "their\x00\n words"}, status)
    with pytest.raises(error) as raised:
        client(limits=Limits(tries=1)).send("/commissions", {})
    assert type(raised.value) is error
    assert said in str(raised.value)
    assert 'It says: "their words".' in str(raised.value)


def test_a_firewall_page_is_not_taken_for_a_missing_right(client: Open, provider: Provider) -> None:
    provider.answers["/commissions"] = lambda asked: Reply(b"<html>", 403)
    with pytest.raises(Unavailable, match="blocked the request with a web page"):
        client(limits=Limits(tries=1)).send("/commissions", {})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("17", 17), ("999999999999", 86_400), ("9" * 400, 86_400), ("²", None), ("-3", None), ("soon", None),
        ("1.5", None), ("", None), ("Mon, 01 Jan 2024 00:00:00 -0000", 0), ("Mon, 01 Jan 2024 00:00:00 GMT", 0),
        ("Wed, 01 Jan 2098 00:00:00 GMT", 86_400),
    ],
)  # fmt: skip
def test_any_retry_after_is_understood_or_left_alone(
    client: Open, provider: Provider, value: str, seconds: float | None
) -> None:
    provider.answers["/commissions"] = lambda asked: Reply.json({}, 429, Retry_After=value)
    with pytest.raises(RateLimited) as asked_for:
        client(limits=Limits(tries=1)).send("/commissions", {})
    assert asked_for.value.retry_after_s == seconds


def test_the_seconds_to_wait_may_stand_in_a_header_of_the_providers_own(client: Open, provider: Provider) -> None:
    provider.answers["/commissions"] = lambda asked: Reply.json({}, 429, X_RateLimit_Reset="90")
    own = msgspec.structs.replace(network, retry_after="X-RateLimit-Reset")
    with pytest.raises(RateLimited) as asked_for:
        client(own, limits=Limits(tries=1)).send("/commissions", {})
    assert asked_for.value.retry_after_s == 90


# --- secrets ---


def test_a_key_in_the_query_is_printed_nowhere(
    server: Server, client: Open, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    in_query = msgspec.structs.replace(network, auth=query(api_key="key"))
    with pytest.raises(AuthRejected) as refused:
        client(in_query).send("/commissions", {})
    server.close()
    with http_session(allow_private=True) as http, pytest.raises(Unavailable) as unreachable:
        client(in_query, limits=Limits(tries=1), http=http).send("/commissions", {})
    printed = "".join(capfd.readouterr()) + caplog.text + str(refused.value) + str(unreachable.value)
    assert KEY not in printed
    assert "pretend-key" not in printed


def test_what_the_provider_echoes_is_washed(client: Open, provider: Provider) -> None:
    tokens = MemoryTokens(NOW)
    tokens.stored = {"access_token": "acc-4711-token", "expires_at": "2027-01-01T00:00:00+00:00"}
    oauth = msgspec.structs.replace(network, auth=client_credentials("https://unused.example", "key", "key"))
    provider.key = "acc-4711-token"
    provider.answers["/commissions"] = lambda asked: Reply.json(
        {"message": f"{asked.headers['authorization']} and {KEY} and {quote(KEY, safe='')}"}, 400
    )
    with pytest.raises(UnexpectedData) as raised:
        client(oauth, tokens=tokens).send("/commissions", {})
    assert 'It says: "Bearer *** and *** and ***".' in str(raised.value)


# --- tokens ---


def test_a_token_that_is_no_longer_taken_is_renewed_once(client: Open, provider: Provider) -> None:
    tokens = MemoryTokens(NOW)
    tokens.stored = {"access_token": "stale", "expires_at": "2027-01-01T00:00:00+00:00"}
    handed: list[str] = []

    def hand_out(url: str, form: Any, headers: Any) -> dict[str, str]:
        handed.append(form["grant_type"])
        return {"access_token": KEY}

    tokens.post = hand_out  # type: ignore[method-assign]
    oauth = msgspec.structs.replace(network, auth=client_credentials("/token", "key", "key"))
    assert client(oauth, tokens=tokens).send("/commissions", {}).status == 200
    provider.key = "nobody has it"
    with pytest.raises(AuthRejected):
        client(oauth, tokens=tokens).send("/commissions", {})
    assert handed == ["client_credentials", "client_credentials"]


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply.json({"error": "invalid_client"}, 401), AuthRejected, "gave no access token (401)"),
        (Reply(b"", 503), Unavailable, "in trouble (503)"),
        (Reply.json(["no object"]), UnexpectedData, "something else"),
        (Reply(b"<html>"), UnexpectedData, "not valid JSON"),
        (Reply(b" " * (2**20 + 1)), UnexpectedData, "larger than 1 MB"),
        (Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), Unavailable, "badly compressed"),
    ],
)
def test_a_token_endpoint_in_trouble_is_told_from_a_refusal(
    server: Server, provider: Provider, reply: Reply, error: type[ProviderError], said: str
) -> None:
    provider.always("/token", reply)
    headers = {"Authorization": f"Bearer {KEY}"}
    with http_session(allow_private=True) as http, pytest.raises(error) as raised:
        post_form(http, Limits(), f"{server.url}/token", {"client_secret": KEY}, headers)
    assert said in str(raised.value)
    assert KEY not in str(raised.value)


def test_the_status_inside_is_believed_where_a_provider_always_sends_200(client: Open, provider: Provider) -> None:
    tokens, handed = MemoryTokens(NOW), iter([{"access_token": KEY}])
    tokens.stored = {"access_token": KEY, "expires_at": "2027-01-01T00:00:00+00:00"}
    tokens.post = lambda url, form, headers: next(handed)  # type: ignore[method-assign]
    told = iter([401, "401", 429, 200])
    provider.answers["/commissions"] = lambda asked: Reply.json({"status": next(told), "message": "why"})
    inside = msgspec.structs.replace(network, status="status", auth=client_credentials("/token", "key", "key"))
    with pytest.raises(AuthRejected, match="why"):  # also with the one token that is handed out
        client(inside, tokens=tokens).send("/commissions", {})
    assert next(handed, None) is None
    assert client(inside, tokens=tokens).send("/commissions", {}).status == 200  # after a pause


# --- pages and details ---


def test_a_next_link_cannot_lead_to_another_host(client: Open, provider: Provider) -> None:
    from tracker.connect.paging import next_link

    first = Reply.json({"rows": [earning("a")], "next": "https://evil.example/more?x=1"})
    answers = {"/commissions": first, "/more": Reply.json({"rows": [earning("b")]})}
    for path, reply in answers.items():
        provider.always(path, reply)
    pages = list(client().pages(resource(paging=next_link(path="next")), LEG))
    assert [len(page.rows) for _, page, _ in pages] == [1, 1]
    assert [(call.path, call.query) for call in provider.asked] == [("/commissions", {}), ("/more", {"x": "1"})]


def test_details_are_put_into_the_row(client: Open, provider: Provider) -> None:
    details = Details(path="/orders/{id}/refunds", into="refunds", when=lambda row: True)
    provider.answers["/orders/a b/refunds"] = lambda asked: Reply.json([1, 2])
    provider.answers["/orders/a%20b/refunds"] = lambda asked: Reply.json([1, 2])
    assert client().detail(resource(details=details), {"id": "a b"})["refunds"] == [1, 2]
    assert provider.asked[-1].path == "/orders/a%20b/refunds"


def test_an_option_that_is_missing_in_an_address_is_named(client: Open) -> None:
    from tracker.errors import ConfigError

    with pytest.raises(ConfigError, match="lacks 'account'"):
        client().send("/{account}/commissions", {})


def test_what_an_answer_says_beside_its_rows_can_belong_to_each_of_them(
    client: Open, server: Server, provider: Provider
) -> None:
    report = resource(params={"in": "{money}", "sort": "asc"}, carry=("currency", "note"))
    provider.always("/commissions", Reply.json({"currency": "SEK", "rows": [{"id": "a"}, {"id": "b", "net": 2.50}]}))
    reader = client(options={"base_url": server.url, "money": "SEK"})
    [(_, page, _)] = list(reader.pages(report, LEG))
    assert [decode(row) for row in page.rows] == [
        {"id": "a", "currency": "SEK"},
        {"id": "b", "net": Decimal("2.5"), "currency": "SEK"},
    ]
    assert {"in": "SEK", "sort": "asc"}.items() <= provider.asked[-1].query.items()
