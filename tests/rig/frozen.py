"""A file system of its own that can be frozen: whoever writes to it then is in the kernel, and no signal ends that (state D)."""

import subprocess
from pathlib import Path
from shutil import which

TOOLS = ("losetup", "mkfs.ext4", "fsfreeze", "mount", "umount")


def why_not() -> str | None:
    """Why none can be had here; None where it can."""
    missing = [tool for tool in TOOLS if which(tool) is None]
    if missing:
        return f"no {', '.join(missing)} (as root: apt-get install e2fsprogs util-linux mount)"
    asked = subprocess.run(["losetup", "--find"], capture_output=True, text=True, timeout=10)
    return f"no loop device: {asked.stderr.strip()}" if asked.returncode else None


class FrozenFile:
    """A loop-mounted ext4 at `directory`/place, with a file in it that anybody may write to."""

    def __init__(self, directory: Path) -> None:
        image, self.place = directory / "image", directory / "place"
        self.place.mkdir()
        with image.open("wb") as file:
            file.truncate(8 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True, timeout=30)
        subprocess.run(["mount", "-o", "loop", image, self.place], check=True, timeout=30)
        self.file = self.place / "file"
        self.file.touch()
        self.file.chmod(0o666)
        self.place.chmod(0o755)
        self.is_frozen = False

    def freeze(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", self.place], check=True, timeout=30)
        self.is_frozen = True

    def thaw(self) -> None:
        if self.is_frozen:
            subprocess.run(["fsfreeze", "--unfreeze", self.place], check=True, timeout=30)
            self.is_frozen = False

    def close(self) -> None:
        self.thaw()
        subprocess.run(["umount", "--lazy", self.place], check=True, timeout=30)
