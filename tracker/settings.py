"""The settings: read once at start, then passed on as an argument.

Each field can be set, strongest first, by the environment variable `TRACKER_<FIELD>` or by the key `<field>` of a TOML
file: `TRACKER_CONFIG` names it, else `tracker.toml` in the data folder. Fields that hold a secret can also be read from
a file of their own (`TRACKER_DATABASE_URL_FILE`, `database_url_file`), as container secrets are. A bad value is never
replaced by a default: `load_settings` refuses it. What pages may change, `tracker.stored` lays beneath both.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from platformdirs import user_data_path
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tracker.addresses import host_name, ip, mail_address, masked, network
from tracker.errors import ConfigError, MoneyError
from tracker.money import currency_code

#: Fields that may be read from a file of their own. Their values are never shown.
SECRETS = frozenset({"database_url", "redis_url", "keys", "smtp_password"})
#: The languages that letters and reports come in.
LANGUAGES = ("en", "de", "nb")
#: Where each way of talking to a mail server is spoken (RFC 6409, RFC 8314, RFC 5321).
SMTP_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_FILE_LIMIT = 1_000_000  # bytes
_SECRET_FILE_LIMIT = 65_536


class BadSettings(ConfigError):
    """Values that pages stored, or were given to store, and that will not do: what is wrong, by field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        told = "\n".join(f"{field}, as set on the settings page: {what}" for field, what in problems.items())
        names = ", ".join(f"TRACKER_{field.upper()}" for field in problems)
        super().__init__(told, hint=f"{names} would win over what is stored.")
        self.problems = dict(problems)


class Settings(BaseSettings):
    """Everything the user can set. `Settings(...)` takes just its arguments; `load_settings` reads the machine.

    Descriptions say what is allowed: an error message ends with them.
    """

    model_config = SettingsConfigDict(env_prefix="TRACKER_", extra="forbid", frozen=True, hide_input_in_errors=True)

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("income-tracker", appauthor=False), description="a folder"
    )
    database_url: str = Field(
        default_factory=lambda valid: f"sqlite:///{(valid['data_dir'] / 'tracker.db').as_posix()}",
        repr=False,
        description="sqlite:///<path> or postgresql://<user>:<password>@<host>/<name>",
    )
    key_file: Path = Field(
        default_factory=lambda valid: valid["data_dir"] / "tracker.key",
        description="the path of the key file, outside the database",
    )
    keys: SecretStr | None = Field(default=None, repr=False, description="the text of a key file, in place of one")
    currency: str = Field(default="EUR", description="an ISO 4217 code such as EUR")
    time_zone: str = Field(default="UTC", description="an IANA time zone such as Europe/Berlin")
    locale: str = Field(
        default="en", description=f"{', '.join(LANGUAGES)}, or one of these with a country, such as en_GB"
    )
    redis_url: str | None = Field(default=None, repr=False, description="redis://, rediss:// or unix:// and an address")
    rates_url: str = Field(
        default="https://data-api.ecb.europa.eu", description="https://<host>, or http:// on this machine"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["auto", "json", "plain"] = Field(
        default="auto", description="auto (plain on a terminal, else json), json or plain"
    )
    page_bytes_limit: int = Field(
        default=32 * 1024 * 1024, ge=64 * 1024, le=1024**3, description="whole bytes, 65536 to 1073741824"
    )
    pages_limit: int = Field(default=20_000, ge=1, le=1_000_000, description="a whole number, 1 to 1000000")
    timeout_s: int = Field(default=60, ge=1, le=600, description="whole seconds, 1 to 600")
    allow_private_networks: bool = Field(default=False, description="true or false")
    backfill_months: int = Field(default=36, ge=1, le=360, description="whole months, 1 to 360")
    backfill_start: date | None = Field(
        default=None, ge=date(1995, 1, 1), le=date(2100, 1, 1), description="a date such as 2023-01-01, since 1995"
    )
    smtp_host: str | None = Field(default=None, description="the name of a mail server, such as smtp.example.com")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls, tls, or none, which is only for a mail server on this machine"
    )
    smtp_port: int = Field(
        default_factory=lambda valid: SMTP_PORTS[valid["smtp_security"]], ge=1, le=65535, description="1 to 65535"
    )
    smtp_user: str | None = Field(default=None, min_length=1, max_length=255, description="a user name, in one line")
    smtp_password: SecretStr | None = Field(default=None, repr=False, description="a password, in one line")
    smtp_ca_file: Path | None = Field(
        default=None, description="the path of a PEM file, for a mail server with a certificate of your own"
    )
    letter_from: str | None = Field(default=None, description="one address, such as tracker@example.com")
    letter_to: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), max_length=20, description="up to 20 addresses such as me@example.com, separated by commas"
    )
    letter_day: int = Field(default=3, ge=1, le=28, description="a day of the month, 1 to 28")
    letter_hour: int = Field(
        default=8, ge=0, le=23, description="an hour, 0 to 23 but not 2, which clock changes skip or repeat"
    )
    web_host: str = Field(
        default="127.0.0.1",
        description="the address that pages are served on: 127.0.0.1, ::1, 0.0.0.0 or one of this machine",
    )
    web_port: int = Field(default=8765, ge=0, le=65535, description="1 to 65535, or 0 for any that is free")
    web_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), max_length=20, description="up to 20 host names such as income.example.com, separated by commas"
    )
    web_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=20,
        description="up to 20 addresses or networks such as 172.16.0.0/12, but not all there are, separated by commas",
    )
    #: Where the values stand that environment and file give, by field.
    _places: dict[str, str] = PrivateAttr(default_factory=dict)
    #: What lies above what pages stored, and which state of that it is.
    _above: "Settings | None" = PrivateAttr(default=None)
    _revision: str = PrivateAttr(default="")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @field_validator("data_dir", "key_file", "smtp_ca_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        # SQLAlchemy refuses the "postgres:" that hosting companies hand out and takes "postgresql:" for another driver.
        url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        if not re.match(r"sqlite(\+pysqlite)?://(/|$)|postgresql\+psycopg://.", url):
            raise ValueError
        return url

    @field_validator("redis_url")
    @classmethod
    def _known_queue(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"(rediss?|unix)://.", url):
            raise ValueError
        return url

    @field_validator("rates_url")
    @classmethod
    def _private_address(cls, url: str) -> str:
        loopback = r"http://(localhost|127(\.\d+){3}|\[::1\])(:\d+)?(/|$)"
        if not (re.match(r"https://[\w.-]", url) or re.match(loopback, url)) or "@" in url:
            raise ValueError
        return url.rstrip("/")

    @field_validator("currency")
    @classmethod
    def _real_currency(cls, code: str) -> str:
        try:
            return currency_code(code)
        except MoneyError as error:
            raise ValueError from error

    @field_validator("time_zone")
    @classmethod
    def _real_zone(cls, name: str) -> str:
        if not _is_zone(name):
            raise ValueError
        return name

    @field_validator("locale")
    @classmethod
    def _spoken(cls, name: str) -> str:
        language, _, country = name.replace("-", "_").partition("_")
        tag = f"{language.lower()}_{country.upper()}" if country else language.lower()
        if language.lower() not in LANGUAGES:
            raise ValueError
        if country:
            from babel.localedata import exists  # only asked for the rare case: babel is slow to import

            if not exists(tag):
                raise ValueError
        return tag

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("smtp_host")
    @classmethod
    def _reachable(cls, name: str | None) -> str | None:
        return name if name is None or ip(name) else host_name(name)

    @field_validator("smtp_security")
    @classmethod
    def _never_in_the_open(cls, security: str, others: ValidationInfo) -> str:
        host = others.data.get("smtp_host") or "localhost"
        address = ip(host)
        if security == "none" and host != "localhost" and not (address and address.is_loopback):
            raise ValueError
        return security

    @field_validator("smtp_user", "smtp_password")
    @classmethod
    def _one_line(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text is not None and (not text or not text.isprintable()):
            raise ValueError
        return value

    @field_validator("web_host")
    @classmethod
    def _bindable(cls, address: str) -> str:
        return str(ipaddress.ip_address("127.0.0.1" if address == "localhost" else address))

    @field_validator("web_hosts")
    @classmethod
    def _known_hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name if ip(name) else host_name(name) for name in map(str.strip, names)))

    @field_validator("web_proxies")
    @classmethod
    def _believed(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(network(one.strip()) for one in proxies))

    @field_validator("letter_to", "web_hosts", "web_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("letter_from")
    @classmethod
    def _real_sender(cls, address: str | None) -> str | None:
        return address and mail_address(address)

    @field_validator("letter_to")
    @classmethod
    def _real_recipients(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(mail_address, addresses)))

    @field_validator("letter_hour")
    @classmethod
    def _in_every_night(cls, hour: int) -> int:
        if hour == 2:
            raise ValueError
        return hour

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which months are cut."""
        return ZoneInfo(self.time_zone)

    def backfill_from(self, today: date) -> date:
        """The first day that a new connection asks for: a first of a month, unless `backfill_start` is set."""
        if self.backfill_start is not None:
            return self.backfill_start
        months = today.year * 12 + today.month - 1 - self.backfill_months
        return date(months // 12, months % 12 + 1, 1)

    @property
    def places(self) -> Mapping[str, str]:
        """The fields that environment or file decide, each with the variable or key that does."""
        return self._places

    @property
    def revision(self) -> str:
        """Which state of what pages stored is in here; "" for none."""
        return self._revision

    def over(self, stored: Mapping[str, Any], revision: str) -> "Settings":
        """These settings over what pages stored, in place of what was stored before. Raises BadSettings."""
        above = self._above or self
        own = {name: getattr(above, name) for name in above.model_fields_set}
        values = {**own, **stored, **{name: own[name] for name in above.places if name in own}}
        try:
            new = Settings(**values)
        except ValidationError as error:
            found = [_problem(detail, values) for detail in error.errors(include_url=False)]
            raise BadSettings({field: told for field, told in found if told}) from None
        new._places, new._above, new._revision = above._places, above, revision
        return new

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from super().__repr_args__()
        yield "database_url", masked(self.database_url)
        yield "redis_url", self.redis_url and masked(self.redis_url)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this machine. `environ` stands in for `os.environ`.

    Raises ConfigError with one line for each bad value: where it stands and what is allowed there.
    """
    environ = os.environ if environ is None else environ
    values, places, problems = _from_environment(environ)
    in_file, file_places, file_problems = _from_toml(environ.get("TRACKER_CONFIG"), values.get("data_dir"))
    values, places = {**in_file, **values}, {**file_places, **places}
    problems += file_problems
    values.setdefault("time_zone", machine_zone(environ))
    try:
        settings = Settings(**values)
    except ValidationError as error:
        found = [_problem(detail, values) for detail in error.errors(include_url=False)]
        problems += [f"{places.get(field, field)}: {told}" for field, told in found if told]
    if problems:
        raise ConfigError("\n".join(problems))
    settings._places.update({name: places[name] for name in values if name in places})
    return settings


_Layer = tuple[dict[str, Any], dict[str, str], list[str]]  # values by field, where each stands, what is wrong


def _from_environment(environ: Mapping[str, str]) -> _Layer:
    source = EnvSettingsSource(Settings)
    # Empty counts as unset: that is how container files pass on a variable that has no value.
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    found: dict[str, Any] = dict(source())
    found |= {
        f"{field}_file": source.env_vars[f"tracker_{field}_file"]
        for field in SECRETS
        if f"tracker_{field}_file" in source.env_vars
    }
    return _resolved(found, {name: f"TRACKER_{name.upper()}" for name in found})


def _from_toml(named: str | None, data_dir: object) -> _Layer:
    folder = Path(str(data_dir)) if data_dir else user_data_path("income-tracker", appauthor=False)
    path = Path(named or folder / "tracker.toml").expanduser()
    try:
        table = tomllib.loads(_read(path, _FILE_LIMIT))
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not named:
            return {}, {}, []
        return {}, {}, [f"{path}: cannot be read: {_reason(error)}."]
    problems = []
    if "data_dir" in table and not named:
        del table["data_dir"]
        problems.append(f"{path}: data_dir cannot be set in a file that is found by it. Use TRACKER_DATA_DIR.")
    for name in sorted(table):
        if name not in Settings.model_fields and name.removesuffix("_file") not in SECRETS:
            del table[name]
            problems.append(f"{path}: unknown key {name[:60]!r}. Allowed: {', '.join(sorted(Settings.model_fields))}.")
    values, places, more = _resolved(table, {name: f"{path}: {name}" for name in table})
    return values, places, problems + more


def _resolved(found: dict[str, Any], places: dict[str, str]) -> _Layer:
    """Replace each `<secret>_file` by the secret in that file."""
    values, problems = dict(found), []
    for field in sorted(SECRETS):
        name = f"{field}_file"
        if name not in found:
            continue
        path = values.pop(name)
        if field in found:
            problems.append(f"{places[name]}: {field} is set as well. Keep one of the two.")
            continue
        try:
            values[field] = _read(Path(str(path)).expanduser(), _SECRET_FILE_LIMIT).strip()
        except (OSError, ValueError) as error:
            problems.append(f"{places[name]}: cannot read {path}: {_reason(error)}.")
            continue
        if not values[field]:
            problems.append(f"{places[name]}: {path} is empty.")
            del values[field]
        places[field] = places[name]
    return values, places, problems


def _read(path: Path, limit: int) -> str:
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content.decode("utf-8-sig")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"  # its own message would quote the content
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def _problem(detail: Any, values: Mapping[str, Any]) -> tuple[str, str]:
    """A field, and what is wrong with its value."""
    field = str(detail["loc"][0])
    if field not in values:
        return field, ""  # a default that could not be made, because the field it is made from is bad
    shown = "this value" if field in SECRETS else repr(str(values[field])[:60])
    return field, f"{shown} is not allowed. Expected {Settings.model_fields[field].description}."


def make_data_dir(settings: Settings) -> Path:
    """The data folder, made for this user alone if it is not there. Raises ConfigError."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Cannot make the data folder {settings.data_dir}: {_reason(error)}.",
            hint="Set TRACKER_DATA_DIR to a folder that this user may write to.",
        ) from error
    return settings.data_dir


def machine_zone(environ: Mapping[str, str]) -> str:
    """The IANA name of the machine's time zone, or "UTC" when it cannot be told."""
    candidates = [environ.get("TZ", "").removeprefix(":")]
    # A symbolic link on Linux and macOS; containers often have only the older /etc/timezone.
    candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
    with suppress(OSError, ValueError):
        candidates.append(_read(Path("/etc/timezone"), 1000).strip())
    return next((name for name in candidates if _is_zone(name)), "UTC")


def _is_zone(name: str) -> bool:
    try:
        return bool(name) and ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):  # unknown; an absolute path or "..": a folder such as "Europe"
        return False
