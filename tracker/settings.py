"""The settings: read once at start, then passed on as an argument.

Each field can be set, strongest first, by the environment variable `TRACKER_<FIELD>` or by the key `<field>` of a TOML
file: `TRACKER_CONFIG` names it, else `tracker.toml` in the data folder. Fields that hold a secret can also be read from
a file of their own (`TRACKER_DATABASE_URL_FILE`, `database_url_file`), as container secrets are. A bad value is never
replaced by a default: `load_settings` refuses it.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from tracker.errors import ConfigError, MoneyError
from tracker.money import currency_code

#: Fields that may be read from a file of their own. Their values are never shown.
SECRETS = frozenset({"database_url", "redis_url", "keys"})
#: The languages that letters and reports come in.
LANGUAGES = ("en", "de", "nb")
_FILE_LIMIT = 1_000_000  # bytes
_SECRET_FILE_LIMIT = 65_536


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
    backfill_months: int = Field(default=36, ge=1, le=360, description="whole months, 1 to 360")
    backfill_start: date | None = Field(
        default=None, ge=date(1995, 1, 1), le=date(2100, 1, 1), description="a date such as 2023-01-01, since 1995"
    )

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

    @field_validator("data_dir", "key_file")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

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
        problems += [line for detail in error.errors(include_url=False) if (line := _problem(detail, values, places))]
    if problems:
        raise ConfigError("\n".join(problems))
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


def _problem(detail: Any, values: Mapping[str, Any], places: Mapping[str, str]) -> str:
    field = str(detail["loc"][0])
    if field not in values:
        return ""  # a default that could not be made, because the field it is made from is bad
    shown = "this value" if field in SECRETS else repr(str(values[field])[:60])
    place = places.get(field, field)
    return f"{place}: {shown} is not allowed. Expected {Settings.model_fields[field].description}."


def masked(url: str) -> str:
    """A database or queue address without its passwords, for messages and logs."""
    url = re.sub(r"^([^:]+://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)(pass\w*=)[^&]*", r"\1***", url)


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
