"""The containers: the compose file is one and keeps the rules of the house; its commands run as plain processes."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis
from jsonschema.validators import validator_for  # type: ignore[import-untyped] # it carries no types
from ruamel.yaml import YAML

from tests.workers.servers import NO_RETRY, free_port, redis_program
from tracker.cli.main import COMMANDS
from tracker.settings import SECRETS, Settings, load_settings
from tracker.vault import Vault

ROOT = Path(__file__).parents[1]
OURS = ("tracker", "clock", "worker")
TMP = "/tmp"  # noqa: S108 - in a container, where nobody else is
Service = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
    return document


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = compose["services"]
    return found


def words(service: Service) -> list[str]:
    """What runs in the container of one of our services: the entry point, then the command."""
    return [*service.get("entrypoint", ["tracker"]), *service.get("command", [])]


# --- the compose file ---


def test_the_compose_file_is_one_by_the_compose_specification(compose: dict[str, Any]) -> None:
    file = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(file.read_text("utf-8"))
    validator = validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(compose)] == []
    misspelt = compose | {"services": {"clock": compose["services"]["clock"] | {"helthcheck": {}}}}
    assert ["helthcheck" in error.message for error in validator.iter_errors(misspelt)] == [True]


def test_there_is_one_container_without_services_and_a_way_that_scales(services: dict[str, Service]) -> None:
    profiles = {name: service["profiles"] for name, service in services.items()}
    scaled = {name: ["scaled"] for name in ("clock", "worker", "postgres", "redis")}
    assert profiles == {"tracker": ["embedded"]} | scaled


def test_every_container_is_locked_down_watched_and_comes_back(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys(), name
        assert service["stop_grace_period"], name
        assert not service.keys() & {"privileged", "devices", "cap_add", "pid", "ipc"}, name


def test_nothing_is_published_and_the_stores_reach_nothing(
    compose: dict[str, Any], services: dict[str, Service]
) -> None:
    assert not [name for name, service in services.items() if service.get("ports") or service.get("network_mode")]
    assert compose["networks"]["ledger"] == {"internal": True}
    assert [name for name, service in services.items() if service["networks"] == ["ledger"]] == ["postgres", "redis"]


def test_containers_keep_host_names_of_their_own(services: dict[str, Service]) -> None:
    """A lease names host and process: with one name for two containers, one would take the other's process for dead."""
    assert not [name for name, service in services.items() if "hostname" in service or "container_name" in service]


def test_images_of_others_are_pinned_to_a_major_version(services: dict[str, Service]) -> None:
    images = {service["image"] for name, service in services.items() if name not in OURS}
    assert images == {"postgres:18", "redis:8"}
    assert {services[name]["image"] for name in OURS} == {"income-tracker"}


def test_secrets_are_files_and_each_is_declared(compose: dict[str, Any], services: dict[str, Service]) -> None:
    for name, service in services.items():
        named = set()
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASS|SECRET|TOKEN|KEY|URL", variable):
                assert variable.endswith("_FILE"), (
                    f"{name}: {variable} is readable for everybody who sees the container"
                )
                assert value.startswith("/run/secrets/")
                named.add(value.removeprefix("/run/secrets/"))
        in_commands = re.findall(r"/run/secrets/(\w+)", json.dumps([service.get("entrypoint"), service["healthcheck"]]))
        assert {*named, *in_commands} == set(service.get("secrets", [])), name
    declared = {name: source["file"] for name, source in compose["secrets"].items()}
    assert declared == {name: f"secrets/{name}" for name in declared}
    assert {name for service in services.values() for name in service.get("secrets", [])} == declared.keys()


def test_variables_of_the_tracker_name_settings(services: dict[str, Service]) -> None:
    known = {f"TRACKER_{field}".upper() for field in Settings.model_fields}
    known |= {f"TRACKER_{field}_FILE".upper() for field in SECRETS}
    example = (ROOT / ".env.example").read_text("utf-8")
    said = [line.partition("=")[0] for line in example.splitlines() if line and not line.startswith("#")]
    used = {name for service in services.values() for name in service.get("environment", {})}
    assert {name for name in (*said, *used) if name.startswith("TRACKER_")} <= known
    assert {"TRACKER_DATABASE_URL_FILE", "TRACKER_REDIS_URL_FILE", "TRACKER_KEYS_FILE"} <= used
    assert not [name for name in said if name.removeprefix("TRACKER_").lower() in SECRETS]


def test_every_folder_that_is_written_to_is_a_volume_or_in_memory(
    compose: dict[str, Any], services: dict[str, Service]
) -> None:
    for name, service in services.items():
        volumes = [mount.split(":") for mount in service.get("volumes", [])]
        assert all(source in compose["volumes"] for source, _ in volumes), name
        in_memory = [mount.split(":")[0] for mount in service.get("tmpfs", [])]
        assert TMP in in_memory, name
        if name in OURS:
            assert "/data" in [*in_memory, *(target for _, target in volumes)], name


def test_every_command_is_one_that_exists(services: dict[str, Service]) -> None:
    for name in OURS:
        for command in (words(services[name]), services[name]["healthcheck"]["test"][1:]):
            if command[:2] == ["python", "-m"]:
                assert find_spec(command[2]) is not None, command
            else:
                assert command[0] == "tracker", command
                assert command[1] in COMMANDS, command


# --- the image ---


def dockerfile() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in dockerfile():
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def test_what_the_image_copies_exists_and_is_let_in() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [rest.split()[:-1] for word, rest in stages()[0] if word == "COPY"]
    sources = sorted(source for line in copied for source in line)
    assert sources == sorted(allowed)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"


def test_the_image_holds_locked_packages_and_nothing_to_build_with() -> None:
    build, final = stages()
    steps = " ".join(rest for word, rest in build if word == "RUN")
    assert "--require-hashes -r requirements.lock" in steps
    assert "--only-binary=:all:" in steps
    assert "--no-build-isolation --no-deps ." in steps
    assert "uninstall --yes setuptools" in steps
    assert re.search(r"^pip uninstall\b.*\bpip\b", dict(final)["RUN"])
    assert [rest for word, rest in final if word == "COPY"] == ["--from=build /opt/tracker /opt/tracker"]
    assert build[0][1].removesuffix(" AS build") == final[0][1]
    assert re.fullmatch(r"python:3\.1[1-4]-slim", final[0][1])


def test_the_image_runs_as_nobody_in_particular_and_is_watched(services: dict[str, Service]) -> None:
    final = dict(stages()[1])
    assert final["USER"] == services["tracker"]["user"] == "10001:10001"
    assert json.loads(final["ENTRYPOINT"]) == ["tracker"]
    assert json.loads(final["CMD"]) == services["tracker"]["command"]
    assert json.loads(final["HEALTHCHECK"].partition("CMD ")[2]) == services["tracker"]["healthcheck"]["test"][1:]
    assert "TRACKER_DATA_DIR=/data" in final["ENV"].split()


# --- the commands as plain processes ---


class Container:
    """A folder that stands for a container's file system, and processes in it with paths led there."""

    def __init__(self, folder: Path, service: Service, secrets: Path) -> None:
        self.service = service
        self.paths = {"/run/secrets": str(secrets), "/data": str(folder / "data"), TMP: str(folder / "tmp")}
        for name in ("data", "tmp"):
            (folder / name).mkdir(parents=True)
        given = {name: self.inside(value) for name, value in service.get("environment", {}).items()}
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environ = {
            "PATH": programs, "HOME": "/nowhere", "TMPDIR": self.paths[TMP], "PYTHONPATH": str(ROOT),
            "TRACKER_DATA_DIR": self.paths["/data"], "TRACKER_WEB_PORT": "0", **given,
        }  # fmt: skip

    def inside(self, word: str) -> str:
        return re.sub(rf"({'|'.join(self.paths)})(?!\w)", lambda found: self.paths[found[0]], word).replace("$$", "$")

    def start(self, *more: str) -> "subprocess.Popen[str]":
        command = [self.inside(word) for word in words(self.service)] + list(more)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environ, stdout=pipe, stderr=subprocess.STDOUT, text=True, cwd="/")

    def healthy(self) -> bool:
        kind, *command = self.service["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        done = subprocess.run(
            [self.inside(word) for word in command], env=self.environ, capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0


def soon(holds: Callable[[], bool], running: "subprocess.Popen[str]", seconds: float = 20) -> None:
    """Wait until it comes true, or fail with what the process has said."""
    deadline, pause = time.monotonic() + seconds, Event()
    while not holds():
        if running.poll() is not None or time.monotonic() > deadline:
            running.kill()
            raise AssertionError(running.communicate()[0])
        pause.wait(0.1)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Made by the very lines that the guide gives."""
    guide = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    script = next(block for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) if "mkdir" in block)
    subprocess.run(["/bin/sh", "-eu", "-c", script], cwd=tmp_path, check=True, timeout=20)
    return tmp_path / "secrets"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ending(process: "subprocess.Popen[str]") -> Callable[[], None]:
    def end() -> None:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=20)

    return end


def test_the_secrets_of_the_guide_are_what_the_services_take(compose: dict[str, Any], secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == compose["secrets"].keys()
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o644}  # containers have other users
    names = ("database_url", "redis_url", "keys")
    settings = load_settings({f"TRACKER_{name.upper()}_FILE": str(secrets / name) for name in names})
    password = (secrets / "postgres_password").read_text()
    assert len(password) == 48
    assert settings.database_url == f"postgresql+psycopg://tracker:{password}@postgres/tracker"
    assert settings.redis_url == f"redis://:{(secrets / 'redis_password').read_text()}@redis/0"
    vault = Vault.open(settings)
    assert vault.unseal("a", vault.seal("a", {"key": "k"})) == {"key": "k"}


def test_the_one_container_serves_is_healthy_and_stops(
    services: dict[str, Service], tmp_path: Path, stack: ExitStack
) -> None:
    container = Container(tmp_path / "one", services["tracker"], tmp_path)
    assert not container.healthy()
    serving = container.start()
    stack.callback(ending(serving))
    soon(container.healthy, serving)
    serving.send_signal(signal.SIGTERM)
    said, _ = serving.communicate(timeout=20)
    assert (serving.returncode, "Traceback" in said) == (0, False)
    assert sorted(path.name for path in (tmp_path / "one" / "data").iterdir()) == ["tracker.db", "tracker.key"]


def test_clock_and_worker_run_on_the_redis_and_the_secrets_of_the_compose_file(
    services: dict[str, Service], tmp_path: Path, secrets: Path, stack: ExitStack, postgres_url: str
) -> None:
    port = free_port()
    (secrets / "database_url").write_text(postgres_url)
    password = (secrets / "redis_password").read_text()
    (secrets / "redis_url").write_text(f"redis://:{password}@127.0.0.1:{port}/0")

    store = Container(tmp_path / "redis", services["redis"], secrets)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(redis_program())
    store.environ["PATH"] = os.pathsep.join([str(programs), store.environ["PATH"]])
    running = store.start("--port", str(port), "--bind", "127.0.0.1")
    stack.callback(ending(running))
    client = stack.enter_context(redis.Redis(port=port, password=password, retry=NO_RETRY))
    soon(lambda: answers(client), running)
    assert client.config_get("save") == {"save": ""}
    with redis.Redis(port=port, retry=NO_RETRY) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()

    alive = {name: Container(tmp_path / name, services[name], secrets) for name in ("clock", "worker")}
    processes = {name: container.start() for name, container in alive.items()}
    for process in processes.values():
        stack.callback(ending(process))
    for name, container in alive.items():
        soon(container.healthy, processes[name])
    for process in processes.values():
        process.send_signal(signal.SIGTERM)
    told = {name: process.communicate(timeout=30)[0] for name, process in processes.items()}
    assert {name: process.returncode for name, process in processes.items()} == {"clock": 0, "worker": 0}
    assert not [name for name, said in told.items() if password in said or "Traceback" in said], told


def answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False
