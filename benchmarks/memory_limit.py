# Runs a program under a limit on its memory, page cache included, by a control group (version 1 or 2) of its own.
import os
import subprocess
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


class NotPossible(Exception):
    """Why no memory limit can be set here."""


def drop_from_page_cache(files):
    """Clean pages of the files leave the page cache: pages that are there already count for the group that brought them, not for the limited one."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


class MemoryLimit:
    """with MemoryLimit(bytes) as limit: limit.run([...]). The group is removed at the end."""

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        version_1 = (CGROUPS / "memory/memory.limit_in_bytes").exists()
        self.parent = CGROUPS / "memory" if version_1 else CGROUPS
        self.limit_file, self.peak_file = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if version_1 else ("memory.max", "memory.peak")
        self.group = self.parent / f"dsv4-bench-{os.getpid()}"
        self.version = 1 if version_1 else 2

    def __enter__(self):
        try:
            if self.version == 2 and "memory" not in (self.parent / "cgroup.subtree_control").read_text().split():
                (self.parent / "cgroup.subtree_control").write_text("+memory")
            self.group.mkdir()
        except OSError as error:
            raise NotPossible(f"no control group can be made in {self.parent} ({error.strerror}); run as root") from error
        try:
            (self.group / self.limit_file).write_text(str(self.limit_bytes))
            if self.version == 2 and (self.group / "memory.swap.max").exists():
                (self.group / "memory.swap.max").write_text("0")
        except OSError as error:
            self.group.rmdir()
            raise NotPossible(f"{self.group / self.limit_file} cannot be written ({error.strerror}); run as root") from error
        return self

    def __exit__(self, *exception):
        for _ in range(50):  # a group is busy for a moment after its last process has ended
            try:
                self.group.rmdir()
                return
            except OSError:
                time.sleep(0.1)

    def run(self, words):
        """Standard output of the program, its exit code, and the most memory that the group has held."""
        enter = f'echo $$ > "{self.group}/cgroup.procs" && exec "$@"'
        done = subprocess.run(["sh", "-c", enter, "sh", *map(str, words)], capture_output=True, text=True)
        peak = self.group / self.peak_file
        return done, int(peak.read_text()) if peak.exists() else None
