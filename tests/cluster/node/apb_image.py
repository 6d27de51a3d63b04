"""The image of apb for a node, as `make image` makes it, on a Debian that is made here: no registry is asked.

What is made stays in the cache: the Debian, the layers, and of the image the last one, by all that it is made from.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster import programs as of_plane
from tests.cluster.node import programs
from tests.cluster.node.programs import Missing

ROOT = Path(__file__).parents[3]
NAME = "registry.example/apb:0.1.0"  # as docs/controller.md calls it; nothing is pushed or pulled
DEBIAN = "bookworm"
BASE = f"localhost/apb-base:{DEBIAN}"
PACKAGES = {"debootstrap": "debootstrap", "buildah": "buildah", "make": "make"}
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
INPUTS = ("requirements.txt", "apb-*.whl")
# What is mounted on the way is seen, and forgotten, by each command alone.
ALONE = ("unshare", "--mount", "--propagation", "private", "--")


def found_or_made() -> Path:
    """The archive. Takes some minutes the first time, one when apb has changed. Raises Missing."""
    programs.need(PACKAGES, "an image of apb")
    _make("image-context")
    cache = of_plane._cache() / "images"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"apb-{_digest()}.tar"
    if not archive.exists():
        _build(cache)
        for older in cache.glob("apb-*.tar"):
            older.unlink()
        partial = archive.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _run(*_buildah(cache), "push", "--quiet", NAME, f"docker-archive:{partial}:{NAME}")
        partial.rename(archive)
    return archive


def _digest() -> str:
    """Of all that the image is made from."""
    files = [ROOT / "deploy/Containerfile", *(path for each in INPUTS for path in sorted((ROOT / "build/image").glob(each)))]
    return hashlib.sha256("".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files).encode()).hexdigest()[:16]


def _build(cache: Path) -> None:
    if subprocess.run([*_buildah(cache), "inspect", "--type", "image", BASE], capture_output=True).returncode != 0:
        _build_base(cache)
    options = ["--layers", "--isolation", "chroot", *_trust(cache)]
    _make("image", f"b={' '.join(_buildah(cache))}", f"base={BASE}", f"tag={NAME}", f"options={' '.join(options)}")


def _build_base(cache: Path) -> None:
    """What a registry's `debian:bookworm-slim` is, more or less."""
    context = cache / "base"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    _run("debootstrap", "--variant=minbase", DEBIAN, str(context / "root"))
    (context / "Containerfile").write_text('FROM scratch\nCOPY root /\nCMD ["bash"]\n')
    _run(*_buildah(cache), "build", "--quiet", "--tag", BASE, str(context))
    shutil.rmtree(context)


def _buildah(cache: Path) -> list[str]:
    """With a place of its own for images."""
    return ["buildah", "--root", str(cache / "storage"), "--runroot", str(cache / "run"), "--storage-driver", "overlay"]


def _trust(cache: Path) -> list[str]:
    """The authorities of this machine, for pip while the image is made: its way to the packages may have one of its own."""
    if not AUTHORITIES.exists():
        return []
    told, there = cache / "pip.conf", "/etc/authorities-of-the-builder.crt"
    told.write_text(f"[global]\ncert = {there}\n")
    return ["--volume", f"{told}:/etc/pip.conf:ro", "--volume", f"{AUTHORITIES}:{there}:ro"]


def _make(*words: str) -> None:
    _run("make", "--no-print-directory", *words)


def _run(*words: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run([*ALONE, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"`{' '.join(words)}` failed: {(done.stdout + done.stderr)[-3000:]}")
