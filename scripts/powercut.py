"""A file system that forgets: what was not synced is gone when its process is killed. For tests of what survives a power cut.

    powercut.py [--ignore-sync] [--write-back SHARE] [--seed N] DISK MOUNT

MOUNT is where programs work; all they write stays in this process. DISK is the folder that plays the disk: it gets a file's
data and length at fsync, fdatasync, or a write through O_SYNC or O_DSYNC, and a folder's names at fsync of the folder. So
SIGKILL is the power cut, after which the mount is gone; started again on the same DISK, it shows what a disk would. It also
ends, as suddenly, when its standard input does, so that nothing outlives the test.

It is stricter than most file systems, and promises no more than POSIX does:
- syncing a file does not save its name; syncing the folder that holds it does, and saves nothing of the file's data;
- sync_file_range saves nothing (it never reaches a FUSE server).

--write-back lets the disk be helpful at bad moments, as disks are: that share of the pages and of the folders is saved at
once, unasked, in no order. --ignore-sync is the control: syncing succeeds and saves nothing.

Limits: no links, no renaming from folder to folder, no times, owners or modes; a page (4 KiB) is saved whole or not at all, so
there are no torn sectors; a sync that the cut interrupts saves some of its pages in their order; all of a disk's data is held
in memory.
"""

import argparse
import errno
import itertools
import json
import os
import random
import stat
import sys
import threading
from pathlib import Path

import mfusepy

PAGE = 4096
ROOT = 1


class File:
    """What programs see of a file, and which pages of it the disk lacks."""

    def __init__(self, number, data=b""):
        self.number = number
        self.data = bytearray(data)
        self.dirty = set()
        self.resized = False


class Folder:
    """What programs see of a folder: names, each of a File or a Folder."""

    def __init__(self, number):
        self.number = number
        self.entries = {}


class Disk:
    """What a power cut leaves: `f<number>` holds a file's data, `d<number>` a folder's names."""

    def __init__(self, path):
        self.path = Path(path).resolve()  # libfuse changes the working folder
        self.path.mkdir(parents=True, exist_ok=True)

    def load(self):
        """The tree as it was saved, and the first number that is free."""
        reached = {}
        root = self._load_folder(ROOT, reached)
        for path in self.path.iterdir():
            if int(path.name[1:].removesuffix(".part")) not in reached or path.suffix:
                path.unlink()  # nothing leads there any more
        return root, max(reached) + 1

    def _load_folder(self, number, reached):
        folder = reached[number] = Folder(number)
        path = self.path / f"d{number}"
        # A folder or file whose name was saved and nothing else is empty.
        for name, (kind, child) in json.loads(path.read_text()).items() if path.exists() else ():
            if child in reached:
                raise ValueError(f"{name} is number {child}, and so is something else")
            if kind == "d":
                folder.entries[name] = self._load_folder(child, reached)
            else:
                data = self.path / f"f{child}"
                reached[child] = File(child, data.read_bytes() if data.exists() else b"")
                folder.entries[name] = reached[child]
        return folder

    def save_folder(self, folder):
        names = {name: ("d" if isinstance(it, Folder) else "f", it.number) for name, it in folder.entries.items()}
        part = self.path / f"d{folder.number}.part"
        part.write_text(json.dumps(names))
        part.rename(self.path / f"d{folder.number}")

    def save_pages(self, file, pages):
        handle = self._open(file)
        try:
            for page in sorted(pages):
                os.pwrite(handle, file.data[page * PAGE : (page + 1) * PAGE], page * PAGE)
        finally:
            os.close(handle)
        file.dirty -= pages

    def save_file(self, file):
        if file.dirty:
            self.save_pages(file, set(file.dirty))
        if file.resized or not (self.path / f"f{file.number}").exists():
            handle = self._open(file)
            os.ftruncate(handle, len(file.data))
            os.close(handle)
            file.resized = False

    def _open(self, file):
        return os.open(self.path / f"f{file.number}", os.O_WRONLY | os.O_CREAT, 0o600)


class Forgetful(mfusepy.Operations):
    """The file system. Served by one thread, so that nothing here needs a lock."""

    use_ns = True

    def __init__(self, disk, ignore_sync, write_back, seed):
        self.disk = disk
        self.ignore_sync = ignore_sync
        self.write_back = write_back
        self.chance = random.Random(seed)
        self.root, first_free = disk.load()
        self.numbers = itertools.count(first_free)
        self.handles = {}
        self.next_handle = itertools.count(1)

    def init(self, path):
        threading.Thread(target=end_with_standard_input, daemon=True).start()

    # Names.

    def getattr(self, path, fh=None):
        it = self._opened(fh) or self._find(path)
        mode, links, size = (stat.S_IFDIR | 0o700, 2, 0) if isinstance(it, Folder) else (stat.S_IFREG | 0o600, 1, len(it.data))
        return {
            "st_mode": mode,
            "st_nlink": links,
            "st_size": size,
            "st_blocks": -(-size // 512),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
        }

    def readdir(self, path, fh):
        return [".", "..", *self._folder(path).entries]

    def mkdir(self, path, mode):
        parent, name = self._parent(path)
        parent.entries[name] = Folder(next(self.numbers))
        self._changed(parent)
        return 0

    def rmdir(self, path):
        if self._folder(path).entries:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        return self.unlink(path)

    def unlink(self, path):
        parent, name = self._parent(path)
        del parent.entries[name]
        self._changed(parent)
        return 0

    def rename(self, old, new, flags=0):
        (parent, old_name), (to, new_name) = self._parent(old), self._parent(new)
        if parent is not to:
            raise mfusepy.FuseOSError(errno.EXDEV)
        if flags:
            raise mfusepy.FuseOSError(errno.EINVAL)
        parent.entries[new_name] = parent.entries.pop(old_name)
        self._changed(parent)
        return 0

    def create(self, path, mode, fi=None):
        parent, name = self._parent(path)
        parent.entries[name] = File(next(self.numbers))
        self._changed(parent)
        return self._handle(parent.entries[name], fi if isinstance(fi, int) else 0)

    # Data.

    def open(self, path, flags):
        return self._handle(self._file(path), flags)

    def release(self, path, fh):
        self.handles.pop(fh, None)
        return 0

    def read(self, path, size, offset, fh):
        return bytes(self._opened(fh).data[offset : offset + size])

    def write(self, path, data, offset, fh):
        file, flags = self.handles[fh]
        end = offset + len(data)
        if end > len(file.data):
            self._resize(file, end)
        file.data[offset:end] = data
        self._touched(file, offset, end)
        if flags & (os.O_SYNC | os.O_DSYNC):
            self.fsync(path, True, fh)
        return len(data)

    def truncate(self, path, length, fh=None):
        self._resize(self._opened(fh) or self._file(path), length)
        return 0

    def fallocate(self, path, mode, offset, length, fh):
        if mode:
            raise mfusepy.FuseOSError(errno.EOPNOTSUPP)
        file = self._opened(fh)
        if offset + length > len(file.data):
            self._resize(file, offset + length)
        return 0

    # Durability.

    def fsync(self, path, datasync, fh):
        if not self.ignore_sync:
            self.disk.save_file(self._opened(fh))
        return 0

    def fsyncdir(self, path, datasync, fh):
        if not self.ignore_sync:
            self.disk.save_folder(self._folder(path))
        return 0

    # What programs ask for in passing.

    def chmod(self, path, mode):
        return 0

    def chown(self, path, uid, gid):
        return 0

    def utimens(self, path, times=None):
        return 0

    def access(self, path, mode):
        self._find(path)
        return 0

    def statfs(self, path):
        return {"f_bsize": PAGE, "f_frsize": PAGE, "f_blocks": 1 << 20, "f_bfree": 1 << 20, "f_bavail": 1 << 20, "f_namemax": 255}

    # Helpers.

    def _find(self, path):
        it = self.root
        for name in filter(None, path.split("/")):
            if not isinstance(it, Folder) or name not in it.entries:
                raise mfusepy.FuseOSError(errno.ENOENT)
            it = it.entries[name]
        return it

    def _folder(self, path):
        it = self._find(path)
        if not isinstance(it, Folder):
            raise mfusepy.FuseOSError(errno.ENOTDIR)
        return it

    def _file(self, path):
        it = self._find(path)
        if not isinstance(it, File):
            raise mfusepy.FuseOSError(errno.EISDIR)
        return it

    def _parent(self, path):
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name

    def _handle(self, file, flags):
        handle = next(self.next_handle)
        self.handles[handle] = (file, flags)
        return handle

    def _opened(self, fh):
        return self.handles[fh][0] if fh in self.handles else None

    def _resize(self, file, length):
        before = len(file.data)
        if length < before:
            del file.data[length:]
        else:
            file.data.extend(bytes(length - before))
        file.dirty = {page for page in file.dirty if page * PAGE < length}
        file.resized = True
        # What is between the old end and the new is zero, whatever the disk held there.
        self._touched(file, min(before, length), length)

    def _touched(self, file, start, end):
        pages = set(range(start // PAGE, -(-end // PAGE)))
        file.dirty |= pages
        helpful = {page for page in pages if self.chance.random() < self.write_back}
        if helpful:
            self.disk.save_pages(file, helpful)

    def _changed(self, folder):
        if self.chance.random() < self.write_back:
            self.disk.save_folder(folder)


def end_with_standard_input():
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("disk", help="the folder that plays the disk")
    parser.add_argument("mount", help="the folder where programs work")
    parser.add_argument("--ignore-sync", action="store_true", help="the control: syncing saves nothing")
    parser.add_argument("--write-back", type=float, default=0.0, metavar="SHARE", help="what is saved unasked (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="which pages those are")
    options = parser.parse_args()
    system = Forgetful(Disk(options.disk), options.ignore_sync, options.write_back, options.seed)
    # By `auto_unmount` a helper process takes the mount away when this one is killed.
    mfusepy.FUSE(system, options.mount, foreground=True, nothreads=True, auto_unmount=True, fsname="powercut")


if __name__ == "__main__":
    main()
