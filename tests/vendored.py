"""The files of others under tracker/web/static/vendor: `python -m tests.vendored` fetches them again, by npm.

A package's version and its files' sums stand in vendor.toml. To take a newer one, write its version there, run this,
and copy the sums that it prints.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tracker" / "web" / "static" / "vendor"
NPM_S = 120


@dataclass(frozen=True)
class Vendored:
    """A file of a package; `path` is where it lies in there."""

    name: str
    package: str
    version: str
    path: str
    licence: str
    sha256: str


def listed(folder: Path = FOLDER) -> list[Vendored]:
    return [Vendored(**one) for one in tomllib.loads((folder / "vendor.toml").read_text("utf-8"))["file"]]


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def taken(archive: Path, file: Vendored) -> bytes:
    """The file as the package has it. Raises ValueError when it is another than the sum says."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(file.path)
        content = member.read() if member else b""
    if sum_of(content) != file.sha256:
        raise ValueError(f"{file.name} of {file.package} {file.version} has the sum {sum_of(content)}")
    return content


def main() -> int:
    files, wrong = listed(), 0
    with tempfile.TemporaryDirectory(prefix="tracker-vendor-") as name:
        for package, version in sorted({(file.package, file.version) for file in files}):
            command = ["npm", "pack", "--silent", "--pack-destination", name, f"{package}@{version}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_S, check=True, cwd=name)
            for file in files:
                if (file.package, file.version) != (package, version):
                    continue
                try:
                    (FOLDER / file.name).write_bytes(taken(Path(name) / done.stdout.split()[-1], file))
                    print(f"{file.name}: {package} {version}")
                except ValueError as error:
                    print(error, file=sys.stderr)
                    wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
