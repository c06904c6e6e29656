"""Where a connection may go: not to this machine, not into the network around it, whatever a name or redirect says."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.post_office import make_authority
from tests.pretend import KEY, Provider, Reply, Server, network
from tests.world import Unhurried
from tracker.connect.fetch import Client, Limits, post_form
from tracker.connect.replay import MemoryTokens
from tracker.connect.session import http_session, is_public
from tracker.errors import Unavailable, UsageError

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
SETTING = "TRACKER_ALLOW_PRIVATE_NETWORKS=true"


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def server(provider: Provider) -> Iterator[Server]:
    server = Server(provider.answer)
    yield server
    server.close()


@pytest.fixture
def strict() -> Iterator[requests.Session]:
    with http_session() as session:
        yield session


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What a resolver says to names, one list of addresses for each time it is asked; then the last one again."""
    known: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host not in known:
            return real(host, port, *more, **named)
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.10", "169.254.169.254",
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "fec0::1", "3fff::1", "5f00::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_of_this_machine_its_network_or_its_cloud_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::808:808"]
)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_this_machine_is_refused_however_it_is_written(
    host: str, server: Server, provider: Provider, strict: requests.Session
) -> None:
    with pytest.raises(UsageError, match="on this machine or in a private network") as refused:
        strict.get(f"http://{host}:{server.url.rpartition(':')[2]}/commissions", timeout=5)
    assert SETTING in str(refused.value)
    assert provider.asked == []


def test_a_setting_allows_it(server: Server, provider: Provider) -> None:
    provider.always("/commissions", Reply(b"[]"))
    with http_session(allow_private=True) as session:
        assert session.get(f"{server.url}/commissions", headers={"Authorization": f"Bearer {KEY}"}, timeout=5).ok


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "192.168.0.7"])
def test_a_name_that_leads_inside_is_refused(
    address: str, names: dict[str, list[list[str]]], strict: requests.Session
) -> None:
    names["shop.example"] = [["93.184.215.14", address]]
    for scheme in ("https", "http"):
        with pytest.raises(UsageError, match=rf"shop\.example \({address}\) is on this machine"):
            strict.get(f"{scheme}://shop.example/", timeout=5)


def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked(
    names: dict[str, list[list[str]]], strict: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is checked, this machine when it is looked up again."""
    names["shop.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    reached: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        reached.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(UsageError, match=r"shop\.example \(127\.0\.0\.1\)"):  # at the second try, which looks again
        strict.get("http://shop.example/", timeout=5)
    assert reached == ["93.184.215.14"]


def test_a_certificate_is_held_against_the_name_not_the_address_behind_it(
    names: dict[str, list[list[str]]], strict: requests.Session, server: Server, provider: Provider,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    names["shop.example"] = names["other.example"] = [["93.184.215.14"]]
    provider.always("/commissions", Reply(b"[]"))
    authority = make_authority(tmp_path, names=("shop.example",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    real, port = socket.socket.connect, int(server.url.rpartition(":")[2])
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: real(self, ("127.0.0.1", port)))
    key = {"Authorization": f"Bearer {KEY}"}
    assert strict.get("https://shop.example/commissions", headers=key, verify=str(authority.ca), timeout=5).ok
    with pytest.raises(requests.exceptions.SSLError):
        strict.get("https://other.example/commissions", headers=key, verify=str(authority.ca), timeout=5)


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:1/", "http://[::1]/"])
def test_a_redirect_inside_is_refused(
    target: str, names: dict[str, list[list[str]]], strict: requests.Session, server: Server, provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first stop is our own server under a public address; the socket alone is led to it."""
    names["shop.example"] = [["93.184.215.14"]]
    provider.always("/start", Reply(b"", 302, headers={"Location": target}))
    real, port = socket.socket.connect, int(server.url.rpartition(":")[2])
    monkeypatch.setattr(
        socket.socket, "connect",
        lambda self, address: real(self, ("127.0.0.1", port) if address[0] == "93.184.215.14" else address),
    )  # fmt: skip
    with pytest.raises(UsageError, match="where connections may not go"):
        strict.get("http://shop.example/start", headers={"Authorization": f"Bearer {KEY}"}, timeout=5)


def test_a_client_and_its_token_endpoint_say_which_setting_would_allow_it(
    server: Server, strict: requests.Session
) -> None:
    client = Client(
        network, slug="pretend", credentials={"key": KEY}, options={"base_url": server.url}, http=strict,
        tokens=MemoryTokens(NOW), pace=Unhurried(), sleep=lambda seconds: None,
    )  # fmt: skip
    with pytest.raises(UsageError, match=SETTING) as refused:
        client.send("/commissions", {})
    assert KEY not in str(refused.value)
    with pytest.raises(UsageError, match=SETTING):
        post_form(strict, Limits(), f"{server.url}/token", {"client_secret": KEY}, {})


def test_a_name_that_does_not_exist_is_trouble_of_the_network(strict: requests.Session) -> None:
    with pytest.raises(Unavailable, match="its name is not known"):
        post_form(strict, Limits(), "https://shop.invalid/token", {"a": "b"}, {})


def test_a_proxy_of_the_machine_may_stand_inside_but_leads_nowhere_inside(
    server: Server, provider: Provider, strict: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.always("http://shop.invalid/commissions", Reply(b"[]"))
    monkeypatch.setenv("http_proxy", server.url)
    key = {"Authorization": f"Bearer {KEY}"}
    asked = strict.get("http://shop.invalid/commissions", headers=key, timeout=5)  # only the proxy knows that name
    assert asked.status_code != 502
    for inside in ("http://169.254.169.254/", "http://127.0.0.1:9/"):
        with pytest.raises(UsageError, match=SETTING):
            strict.get(inside, headers=key, timeout=5)
