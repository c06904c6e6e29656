import errno
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tracker.errors import ConfigError
from tracker.settings import Settings
from tracker.vault import Vault, new_keys

ROOT = Path(__file__).parent.parent
CREDENTIALS = {"token": "tok-1", "secret": "ü-'\"\\"}
SHARED = Vault.open(Settings(data_dir=Path("/nonexistent"), keys=SecretStr(new_keys())))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may not write to; root lays its rights down for the test."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.rmdir()


# --- sealing ----------------------------------------------------------------------------------------------------------


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_what_is_sealed_is_opened_unchanged(connection: str, credentials: dict[str, str]) -> None:
    assert SHARED.unseal(connection, SHARED.seal(connection, credentials)) == credentials


def test_a_sealed_token_shows_nothing_and_never_repeats(settings: Settings) -> None:
    vault = Vault.open(settings)
    tokens = {vault.seal("blog", CREDENTIALS) for _ in range(3)}
    assert len(tokens) == 3
    assert not any("tok-1" in token or "blog" in token for token in tokens)


def test_sealed_credentials_cannot_be_moved_to_another_connection(settings: Settings) -> None:
    vault = Vault.open(settings)
    token = vault.seal("blog", CREDENTIALS)
    with pytest.raises(ConfigError, match="Enter the credentials of shop again"):
        vault.unseal("shop", token)


@given(st.integers(0, 99), st.integers(1, 63))
def test_a_damaged_token_is_refused(position: int, change: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = SHARED.seal("blog", CREDENTIALS)
    damaged = alphabet[(alphabet.index(token[position]) + change) % 64]
    with pytest.raises(ConfigError, match="or they are damaged"):
        SHARED.unseal("blog", token[:position] + damaged + token[position + 1 :])


@pytest.mark.parametrize("token", ["", "x", "ü", "gAAAAA=="])
def test_a_token_that_is_none_is_refused(token: str, settings: Settings) -> None:
    with pytest.raises(ConfigError):
        Vault.open(settings).unseal("blog", token)


def test_another_installation_cannot_open_the_credentials_and_says_what_to_do(tmp_path: Path) -> None:
    token = Vault.open(Settings(data_dir=tmp_path / "one")).seal("blog", CREDENTIALS)
    with pytest.raises(ConfigError) as refusal:
        Vault.open(Settings(data_dir=tmp_path / "two")).unseal("blog", token)
    assert str(tmp_path / "two" / "tracker.key") in str(refusal.value)
    assert "Add the lost key on a line of its own, or enter the credentials again." in str(refusal.value)


def test_a_lost_key_that_is_added_again_opens_what_it_sealed(tmp_path: Path) -> None:
    token = Vault.open(Settings(data_dir=tmp_path / "one")).seal("blog", CREDENTIALS)
    vault = Vault.open(Settings(data_dir=tmp_path / "two"))
    lost = (tmp_path / "one" / "tracker.key").read_text().splitlines()[-1]
    with (tmp_path / "two" / "tracker.key").open("a") as file:
        file.write(lost)
    assert vault.unseal("blog", token) == CREDENTIALS


# --- the key file -----------------------------------------------------------------------------------------------------


def test_the_key_file_is_made_on_first_use_for_its_owner_alone(settings: Settings) -> None:
    token = Vault.open(settings).seal("blog", CREDENTIALS)
    assert settings.key_file.stat().st_mode & 0o777 == 0o600
    assert Vault.open(settings).unseal("blog", token) == CREDENTIALS
    assert list(settings.data_dir.iterdir()) == [settings.key_file]


def test_no_key_is_in_the_vault_as_printed(settings: Settings) -> None:
    vault = Vault.open(settings)
    assert not set(settings.key_file.read_text().split()) & set(f"{vault!r} {vault}".split())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602, 0o601])
def test_a_key_file_that_others_can_reach_is_refused_with_the_repair(mode: int, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "it's here")
    token = Vault.open(settings).seal("blog", CREDENTIALS)
    settings.key_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as refusal:
        Vault.open(settings)
    _, command = str(refusal.value).split("Run: ")
    subprocess.run(shlex.split(command), check=True, timeout=60)
    assert Vault.open(settings).unseal("blog", token) == CREDENTIALS


def test_a_link_is_judged_by_the_file_it_leads_to(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text(new_keys())
    target.chmod(0o600)
    settings.key_file.symlink_to(target)
    Vault.open(settings)
    target.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {re.escape(str(target))}"):
        Vault.open(settings)


def test_a_link_to_nowhere_is_not_followed_to_make_a_key_file(settings: Settings, tmp_path: Path) -> None:
    settings.key_file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="No such file"):
        Vault.open(settings)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_or_a_pipe_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(ConfigError, match=r"is not a file|Is a directory"):
            Vault.open(Settings(data_dir=tmp_path, key_file=tmp_path / name))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "pseudonym"),
        (lambda text: text.replace("pseudonym:", "pseudonym:0"), "pseudonym"),
        (lambda text: text + "\npseudonym:" + "0" * 64, "pseudonym"),
        (lambda text: re.sub(r"(?m)^[\w-]+=$", "", text), "holds no key"),
        (lambda text: text[:-5], "Key 1 .*is damaged"),
        (lambda text: text + "é", "Key 2 .*is damaged"),
        (lambda text: text + "#" * 70_000, "too large"),
    ],
)
def test_a_damaged_key_file_is_refused_without_showing_a_key(change: object, reason: str, settings: Settings) -> None:
    assert callable(change)
    text = new_keys()
    settings.key_file.write_text(change(text), encoding="utf-8")
    settings.key_file.chmod(0o600)
    with pytest.raises(ConfigError, match=reason) as refusal:
        Vault.open(settings)
    assert not any(word in str(refusal.value) for word in text.split("\n")[2:] if word)


def test_a_read_only_folder_is_named(read_only_folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{read_only_folder}.*set TRACKER_KEY_FILE"):
        Vault.open(Settings(data_dir=read_only_folder))


def test_a_full_disk_leaves_no_half_a_key_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="The disk is full"):
        Vault.open(settings)
    assert list(settings.data_dir.iterdir()) == []


def test_many_processes_that_start_at_once_agree_on_one_key(settings: Settings, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tracker.settings import Settings; from tracker.vault import Vault\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(Vault.open(Settings(data_dir=Path(sys.argv[1]))).seal('blog', {'n': '1'}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipe = subprocess.PIPE
    starters = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(6)]
    for process in starters:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starters:  # all are past their imports: now they race
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    tokens = [process.communicate(timeout=60)[0].strip() for process in starters]
    vault = Vault.open(settings)
    assert [vault.unseal("blog", token) for token in tokens] == [{"n": "1"}] * 6
    assert list(tmp_path.iterdir()) == [settings.key_file]


# --- keys by value ----------------------------------------------------------------------------------------------------


def test_keys_can_be_given_by_value_on_one_line(settings: Settings) -> None:
    text = new_keys()
    words = [line for line in text.splitlines() if not line.startswith("#")]
    in_file = Vault.open(settings.model_copy(update={"keys": SecretStr(text)}))
    in_line = Vault.open(settings.model_copy(update={"keys": SecretStr(",".join(words))}))
    assert in_line.unseal("blog", in_file.seal("blog", CREDENTIALS)) == CREDENTIALS
    assert in_line.pseudonym("payer", "a") == in_file.pseudonym("payer", "a")
    assert not settings.key_file.exists()


def test_keys_given_by_value_are_not_rotated_by_us() -> None:
    with pytest.raises(ConfigError, match="Put a new key before the others"):
        SHARED.rotate()


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_a_rotation_interrupts_nobody(settings: Settings) -> None:
    web, worker = Vault.open(settings), Vault.open(settings)
    before = web.seal("blog", CREDENTIALS)
    web.rotate()
    after = web.seal("blog", CREDENTIALS)
    for vault in (web, worker, Vault.open(settings)):
        assert vault.unseal("blog", before) == vault.unseal("blog", after) == CREDENTIALS
    assert settings.key_file.stat().st_mode & 0o777 == 0o600


def test_a_running_process_seals_with_the_new_key_after_a_rotation_elsewhere(settings: Settings) -> None:
    worker = Vault.open(settings)
    old_keys = settings.key_file.read_text()
    Vault.open(settings).rotate()
    token = worker.seal("blog", CREDENTIALS)
    with pytest.raises(ConfigError):
        Vault.open(settings.model_copy(update={"keys": SecretStr(old_keys)})).unseal("blog", token)


def test_old_keys_go_once_everything_is_sealed_again(settings: Settings) -> None:
    vault = Vault.open(settings)
    tokens = [vault.seal(slug, {"slug": slug}) for slug in ("blog", "shop")]
    vault.rotate()
    with pytest.raises(ConfigError, match="2 sealed credentials still need an old key"):
        vault.retire(tokens)
    assert vault.unseal("blog", tokens[0]) == {"slug": "blog"}

    fresh = [vault.reseal(token) for token in tokens]
    assert vault.retire(fresh) == 1
    assert Vault.open(settings).unseal("shop", fresh[1]) == {"slug": "shop"}
    with pytest.raises(ConfigError):
        Vault.open(settings).unseal("shop", tokens[1])


def test_sealing_again_keeps_the_binding_to_the_connection(settings: Settings) -> None:
    vault = Vault.open(settings)
    token = vault.seal("blog", CREDENTIALS)
    vault.rotate()
    with pytest.raises(ConfigError):
        vault.unseal("shop", vault.reseal(token))


def test_two_rotations_at_once_cannot_lose_a_key(settings: Settings) -> None:
    vault = Vault.open(settings)
    draft = settings.data_dir / "tracker.key.new"
    draft.touch()  # what the other rotation holds while it is at work
    before = settings.key_file.read_bytes()
    with pytest.raises(ConfigError, match="Another change of keys is under way"):
        vault.rotate()
    assert draft.exists()
    assert settings.key_file.read_bytes() == before


def test_a_rotation_that_fails_leaves_the_keys_as_they_were(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault.open(settings)
    before = settings.key_file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigError, match="The disk is full"):
            vault.rotate()
    assert settings.key_file.read_bytes() == before
    vault.rotate()


# --- pseudonyms -------------------------------------------------------------------------------------------------------


@given(st.text(), st.text())
def test_a_pseudonym_is_short_plain_and_stable(kind: str, text: str) -> None:
    pseudonym = SHARED.pseudonym(kind, text)
    assert re.fullmatch(r"p_[a-z2-7]{26}", pseudonym)
    assert SHARED.pseudonym(kind, text) == pseudonym


def test_pseudonyms_differ_by_person_by_kind_and_by_installation(tmp_path: Path) -> None:
    one, two = (Vault.open(Settings(data_dir=tmp_path / name)) for name in ("one", "two"))
    found = {
        one.pseudonym("payer", "a"),
        one.pseudonym("payer", "b"),
        one.pseudonym("ip", "a"),
        two.pseudonym("payer", "a"),
    }
    assert len(found) == 4


def test_a_rotation_does_not_change_pseudonyms(settings: Settings) -> None:
    vault = Vault.open(settings)
    before = vault.pseudonym("payer", "a@example.org")
    vault.rotate()
    vault.retire([])
    assert (
        vault.pseudonym("payer", "a@example.org") == Vault.open(settings).pseudonym("payer", "a@example.org") == before
    )
