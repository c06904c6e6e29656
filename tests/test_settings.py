import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from tracker.addresses import masked
from tracker.errors import ConfigError
from tracker.settings import SECRETS, Settings, load_settings, machine_zone, make_data_dir

ROOT = Path(__file__).parent.parent


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refusal(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_settings(environ)
    return str(error.value).splitlines()


# --- where values come from -------------------------------------------------------------------------------------------


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = load_settings({"TRACKER_DATA_DIR": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/tracker.db"
    assert settings.key_file == tmp_path / "tracker.key"
    assert (settings.currency, settings.locale, settings.keys, settings.redis_url) == ("EUR", "en", None, None)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    written(tmp_path / "tracker.toml", 'currency = "SEK"\nlocale = "nb"\n')
    settings = load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_LOCALE": "de"})
    assert (settings.currency, settings.locale, settings.timeout_s) == ("SEK", "de", 60)


def test_a_named_file_may_place_the_data_folder(tmp_path: Path) -> None:
    file = written(tmp_path / "my.toml", f'data_dir = "{tmp_path}/data"\n')
    settings = load_settings({"TRACKER_CONFIG": str(file)})
    assert settings.database_url == f"sqlite:///{tmp_path}/data/tracker.db"


def test_a_file_found_by_the_data_folder_may_not_move_it(tmp_path: Path) -> None:
    written(tmp_path / "tracker.toml", 'data_dir = "/elsewhere"\n')
    assert "Use TRACKER_DATA_DIR" in refusal({"TRACKER_DATA_DIR": str(tmp_path)})[0]


def test_a_dotenv_file_in_the_working_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / ".env", "TRACKER_CURRENCY=SEK\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings({"TRACKER_DATA_DIR": str(tmp_path)}).currency == "EUR"


def test_the_process_environment_is_read_when_no_other_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKER_CURRENCY", "usd")
    assert load_settings().currency == "USD"
    assert load_settings({"TRACKER_DATA_DIR": str(tmp_path)}).currency == "EUR"


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    settings = load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_CURRENCY": "", "TRACKER_KEYS_FILE": ""})
    assert (settings.currency, settings.keys) == ("EUR", None)


def test_settings_made_in_a_program_take_only_their_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CURRENCY", "SEK")
    assert Settings(data_dir=tmp_path).currency == "EUR"


def test_the_example_file_shows_every_key_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "config" / "tracker.example.toml").read_text(encoding="utf-8")
    file = written(tmp_path / "tracker.toml", text)
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TZ": "UTC"}
    assert load_settings({"TRACKER_CONFIG": str(file), **environ}) == load_settings(environ)

    shown = tomllib.loads(re.sub(r"(?m)^#(?=\w+ = )", "", text))
    assert shown.keys() == Settings.model_fields.keys()
    defaults = Settings(data_dir=tmp_path)
    plain = {name for name in shown if isinstance(shown[name], int)} | {"currency", "locale", "log_level", "rates_url"}
    assert {name: shown[name] for name in plain} == {name: getattr(defaults, name) for name in plain}


def test_the_settings_page_names_every_variable() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`TRACKER_(\w+)`", page))
    assert named == {name.upper() for name in Settings.model_fields} | {f"{name.upper()}_FILE" for name in SECRETS} | {
        "CONFIG"
    }


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_can_be_read_from_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    value = {"database_url": "postgresql+psycopg://u:pw@db/t", "redis_url": "redis://:pw@q/0", "keys": "k"}.get(
        name, "pw ü"
    )
    file = written(tmp_path / "secret", f"{value}\n")
    by_variable = load_settings({"TRACKER_DATA_DIR": str(tmp_path), f"TRACKER_{name.upper()}_FILE": str(file)})
    written(tmp_path / "tracker.toml", f'{name}_file = "{file}"\n')
    by_key = load_settings({"TRACKER_DATA_DIR": str(tmp_path)})
    for settings in (by_variable, by_key):
        found = getattr(settings, name)
        assert (found if isinstance(found, str) else found.get_secret_value()) == value


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "keys", "abc")
    lines = refusal({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_KEYS": "abc", "TRACKER_KEYS_FILE": str(file)})
    assert lines == ["TRACKER_KEYS_FILE: keys is set as well. Keep one of the two."]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "larger")],
)
def test_a_secret_file_that_cannot_be_used_is_named(content: bytes | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (line,) = refusal({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_KEYS_FILE": str(file)})
    assert line.startswith("TRACKER_KEYS_FILE: ")
    assert reason in line
    assert str(file) in line


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    environ = {
        "TRACKER_DATA_DIR": str(tmp_path),
        "TRACKER_DATABASE_URL": "postgres://joe:hush1@db/t?password=hush2",
        "TRACKER_REDIS_URL": "rediss://:hush3@queue/0",
        "TRACKER_KEYS": "hush4",
        "TRACKER_SMTP_PASSWORD": "hush5",
    }
    settings = load_settings(environ)
    for text in (repr(settings), str(settings), f"{settings}", pretty_repr(settings)):
        assert "hush" not in text
    assert "postgresql+psycopg://joe:***@db/t" in repr(settings)


def test_a_bad_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    environ = {
        "TRACKER_DATA_DIR": str(tmp_path),
        "TRACKER_DATABASE_URL": "mysql://joe:hush@db/t",
        "TRACKER_REDIS_URL": "hush",
        "TRACKER_LOG_FORMAT": "loud",
    }
    lines = refusal(environ)
    assert len(lines) == 3
    assert "hush" not in "".join(lines)


@given(st.text("abc:/@?&=%", min_size=1, max_size=12))
def test_a_password_of_any_shape_is_masked(middle: str) -> None:
    assert "hush" not in masked(f"postgresql://joe:hush{middle}hush@db/t")


# --- bad values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("CURRENCY", "EURO", "ISO 4217"),
        ("TIME_ZONE", "Berlin", "IANA"),
        ("TIME_ZONE", "Europe", "IANA"),
        ("TIME_ZONE", "/etc/passwd", "IANA"),
        ("TIME_ZONE", "../UTC", "IANA"),
        ("LOCALE", "fr", "en, de, nb"),
        ("LOCALE", "en_ZZ", "en, de, nb"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
        ("LOG_FORMAT", "xml", "json"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("DATABASE_URL", "tracker.db", "sqlite:///"),
        ("DATABASE_URL", "mysql://db/t", "sqlite:///"),
        ("RATES_URL", "http://rates.example", "https://"),
        ("RATES_URL", "http://127.0.0.1.evil.example", "https://"),
        ("RATES_URL", "https://joe:pw@rates.example", "https://"),
        ("PAGE_BYTES_LIMIT", "10", "65536"),
        ("PAGES_LIMIT", "0", "1 to"),
        ("TIMEOUT_S", "soon", "seconds"),
        ("TIMEOUT_S", "1.5", "seconds"),
        ("BACKFILL_MONTHS", "0", "months"),
        ("BACKFILL_START", "20240101", "2023-01-01"),
        ("BACKFILL_START", "1970-01-01", "2023-01-01"),
        ("BACKFILL_START", "2999-01-01", "2023-01-01"),
        ("SMTP_HOST", "smtp://mail.example", "smtp.example.com"),
        ("SMTP_HOST", "mail.example:587", "smtp.example.com"),
        ("SMTP_HOST", "-.example", "smtp.example.com"),
        ("SMTP_SECURITY", "ssl", "starttls, tls"),
        ("SMTP_PORT", "0", "1 to 65535"),
        ("SMTP_USER", "joe\nbob", "one line"),
        ("SMTP_PASSWORD", "hu\0sh", "one line"),
        ("LETTER_FROM", "tracker", "tracker@example.com"),
        ("LETTER_FROM", "Tracker <tracker@example.com>", "tracker@example.com"),
        ("LETTER_FROM", "a@example.com,b@example.com", "one address"),
        ("LETTER_TO", "me@example.com, you@", "me@example.com"),
        ("LETTER_TO", ".me@example.com", "me@example.com"),
        ("LETTER_TO", "me@example..com", "me@example.com"),
        ("LETTER_TO", "x" * 65 + "@example.com", "me@example.com"),
        ("LETTER_TO", "me@xn--.example.ü\u0338", "me@example.com"),
        ("LETTER_TO", ",".join(f"u{number}@example.com" for number in range(21)), "up to 20"),
        ("WEB_PROXIES", "*", "addresses or networks"),
        ("WEB_PROXIES", "10.0.0.1,0.0.0.0/0", "not all there are"),
        ("WEB_PROXIES", "proxy", "addresses or networks"),
        ("WEB_PROXIES", "172.16.0.1/12", "addresses or networks"),
        ("LETTER_DAY", "29", "1 to 28"),
        ("LETTER_HOUR", "24", "0 to 23"),
        ("LETTER_HOUR", "2", "not 2"),
    ],
)
def test_a_bad_value_is_refused_with_its_variable_and_what_is_allowed(
    name: str, value: str, allowed: str, tmp_path: Path
) -> None:
    (line,) = refusal({"TRACKER_DATA_DIR": str(tmp_path), f"TRACKER_{name}": value})
    assert line.startswith(f"TRACKER_{name}: ")
    assert allowed in line
    assert repr(value[:20])[1:-1] in line or name.lower() in SECRETS


def test_every_bad_value_has_its_line_and_its_place(tmp_path: Path) -> None:
    file = written(tmp_path / "tracker.toml", 'currency = "EURO"\ncurency = "EUR"\ntimeout_s = "soon"\n')
    lines = refusal({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_LOCALE": "fr", "TRACKER_TIMEOUT_S": "5"})
    assert len(lines) == 3
    assert lines[0].startswith(f"{file}: unknown key 'curency'. Allowed: allow_private_networks, backfill_months, ")
    assert {line.partition(": '")[0] for line in lines[1:]} == {f"{file}: currency", "TRACKER_LOCALE"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"currency = ", "Invalid value"),
        (b"\xff\xfe", "UTF-8"),
        (b"#" * 1_000_001, "larger"),
        (b"[tracker]\n", "unknown key"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "tracker.toml").write_bytes(content)
    (line,) = refusal({"TRACKER_DATA_DIR": str(tmp_path)})
    assert line.startswith(f"{tmp_path}/tracker.toml: ")
    assert reason in line


def test_a_named_settings_file_must_exist(tmp_path: Path) -> None:
    (line,) = refusal({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_CONFIG": str(tmp_path / "absent.toml")})
    assert line == f"{tmp_path}/absent.toml: cannot be read: No such file or directory."


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings(data_dir=tmp_path).currency = "USD"


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_address_of_postgresql_leads_to_the_same_driver(scheme: str, tmp_path: Path) -> None:
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_DATABASE_URL": f"{scheme}://u@db/t"}
    assert load_settings(environ).database_url == "postgresql+psycopg://u@db/t"


@pytest.mark.parametrize(("given_locale", "locale"), [("DE", "de"), ("en-gb", "en_GB"), ("nb_NO", "nb_NO")])
def test_a_locale_is_written_in_one_way(given_locale: str, locale: str, tmp_path: Path) -> None:
    assert load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_LOCALE": given_locale}).locale == locale


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost/ecb/", "http://[::1]:9", "https://rates.example"]
)
def test_rates_may_come_from_this_machine_or_over_https(url: str, tmp_path: Path) -> None:
    assert load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_RATES_URL": url}).rates_url == url.rstrip("/")


def test_the_zone_of_the_machine_is_the_default(tmp_path: Path) -> None:
    settings = load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TZ": ":Asia/Tokyo"})
    assert settings.zone.key == "Asia/Tokyo"


def test_a_zone_that_posix_writes_in_its_own_way_is_passed_over() -> None:
    assert machine_zone({"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}) == machine_zone({})


def test_proxies_are_addresses_or_networks(tmp_path: Path) -> None:
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_WEB_PROXIES": "172.16.0.0/12, 10.0.0.7,10.0.0.7/32,fd00::/8"}
    assert load_settings(environ).web_proxies == ("172.16.0.0/12", "10.0.0.7", "fd00::/8")


@pytest.mark.parametrize(
    ("months", "today", "first"),
    [
        (36, date(2026, 11, 22), date(2023, 11, 1)),
        (1, date(2026, 1, 31), date(2025, 12, 1)),
        (12, date(2024, 2, 29), date(2023, 2, 1)),
    ],
)
def test_a_backfill_goes_back_whole_months(months: int, today: date, first: date, tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path, backfill_months=months).backfill_from(today) == first


def test_a_named_start_of_the_backfill_wins(tmp_path: Path) -> None:
    settings = load_settings({"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_BACKFILL_START": "2020-05-17"})
    assert settings.backfill_from(date(2026, 1, 1)) == date(2020, 5, 17)


def test_the_data_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    folder = make_data_dir(Settings(data_dir=tmp_path / "a" / "b"))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert make_data_dir(Settings(data_dir=folder)) == folder


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "file", "")
    with pytest.raises(ConfigError, match="Set TRACKER_DATA_DIR"):
        make_data_dir(Settings(data_dir=file / "data"))


def test_settings_load_without_the_heavy_libraries() -> None:
    heavy = {"babel", "cryptography", "requests", "sqlalchemy"}
    program = f"import sys, tracker.settings as s; s.load_settings(); print({heavy} & set(sys.modules))"
    environ = {"PATH": os.environ["PATH"], "TRACKER_DATA_DIR": "/nonexistent"}
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environ, cwd=ROOT)
    assert answer.stdout.strip() == "set()"


# --- mail -------------------------------------------------------------------------------------------------------------


def test_recipients_are_given_separated_by_commas_or_as_a_list(tmp_path: Path) -> None:
    written(tmp_path / "tracker.toml", 'letter_to = ["me@example.com", "you@example.com"]\n')
    assert load_settings({"TRACKER_DATA_DIR": str(tmp_path)}).letter_to == ("me@example.com", "you@example.com")
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_LETTER_TO": " a@example.com, b@example.com,"}
    assert load_settings(environ).letter_to == ("a@example.com", "b@example.com")


def test_an_address_is_written_in_one_way_and_counts_once(tmp_path: Path) -> None:
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_LETTER_TO": "Me@STRASSE.example,Me@strasse.EXAMPLE"}
    assert load_settings(environ).letter_to == ("Me@strasse.example",)
    environ["TRACKER_LETTER_TO"] = "jörg@straße.example"
    assert load_settings(environ).letter_to == ("jörg@xn--strae-oqa.example",)


@pytest.mark.parametrize("address", ["me@example.com\nBcc: all@example.com", "me\r\n@example.com", "me@exam\0ple.com"])
def test_a_line_break_in_an_address_is_refused(address: str, tmp_path: Path) -> None:
    for name in ("letter_from", "letter_to"):
        written(tmp_path / "tracker.toml", f"{name} = {json.dumps(address)}\n")
        (line,) = refusal({"TRACKER_DATA_DIR": str(tmp_path)})
        assert line.startswith(f"{tmp_path}/tracker.toml: {name}: ")
        assert "\n" not in line


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_security(security: str, port: int, tmp_path: Path) -> None:
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_SMTP_SECURITY": security}
    assert load_settings(environ).smtp_port == port
    assert load_settings({**environ, "TRACKER_SMTP_PORT": "2525"}).smtp_port == 2525


@pytest.mark.parametrize(
    ("host", "taken"),
    [("localhost", True), ("127.0.0.2", True), ("::1", True), ("mail.example", False), ("192.168.1.2", False)],
)
def test_mail_in_the_open_goes_to_this_machine_only(host: str, taken: bool, tmp_path: Path) -> None:
    environ = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_SMTP_HOST": host, "TRACKER_SMTP_SECURITY": "none"}
    if taken:
        assert load_settings(environ).smtp_host == host
    else:
        (line,) = refusal(environ)
        assert line.startswith("TRACKER_SMTP_SECURITY: 'none' is not allowed.")
