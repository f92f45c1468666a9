//! The script: system calls on a mounted filesystem, and what each of them came to.

use std::ffi::CString;
use std::fmt::Debug;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::Result;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, FcntlArg, Flock, FlockArg, OFlag, PosixFadviseAdvice,
    RenameFlags, copy_file_range, fallocate, fcntl, open, posix_fadvise, readlink, renameat,
    renameat2,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, futimens, lstat,
    mkdirat, mknod, utimensat,
};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use nix::sys::uio::{pread, pwrite, writev};
use nix::unistd::{
    AccessFlags, Gid, LinkatFlags, Uid, UnlinkatFlags, Whence, access, faccessat, fchown, fchownat,
    fdatasync, fsync, ftruncate, linkat, lseek, mkdir, read, symlinkat, truncate, unlink, unlinkat,
    write,
};

use crate::common::{Trace, digest};
use crate::sys;

/// Runs system calls below a directory, and writes down what they came to.
pub(crate) struct Script<'a> {
    root: &'a Path,
    pub(crate) trace: Arc<Trace>,
    log: Vec<String>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(root: &'a Path, trace: &Arc<Trace>) -> Self {
        Self { root, trace: trace.clone(), log: Vec::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root
    }

    /// Adds lines of somebody else's.
    pub(crate) fn append(&mut self, lines: impl IntoIterator<Item = String>) {
        self.log.extend(lines);
    }

    /// One line for each system call.
    pub(crate) fn into_log(self) -> Vec<String> {
        self.log
    }

    pub(crate) fn everything(&mut self) {
        self.names();
        self.open_flags();
        self.data();
        self.large_data();
        self.many_small();
        self.attributes();
        self.times();
        self.xattrs();
        self.directories();
        self.locks();
        self.control();
        self.mapping();
        self.errors();
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn did<T: Debug>(
        &mut self,
        what: impl Into<String>,
        result: Result<T>,
    ) -> Option<T> {
        let what = what.into();
        match result {
            Ok(value) => {
                self.log.push(format!("{what} = {value:?}"));
                Some(value)
            }
            Err(errno) => {
                self.log.push(format!("{what} = {errno:?}"));
                None
            }
        }
    }

    /// As [`did`](Self::did), for values that differ between runs or say nothing.
    fn quietly<T>(&mut self, what: impl Into<String>, result: Result<T>) -> Option<T> {
        let mut value = None;
        let unit = result.map(|it| value = Some(it));
        self.did(what, unit);
        value
    }

    pub(crate) fn open(&mut self, name: &str, flags: OFlag, mode: u32) -> Option<OwnedFd> {
        let path = self.at(name);
        let opened = open(&path, flags | OFlag::O_CLOEXEC, Mode::from_bits_truncate(mode));
        self.quietly(format!("open {name} {flags:?} {mode:o}"), opened)
    }

    pub(crate) fn close(&mut self, fd: Option<OwnedFd>) {
        if let Some(fd) = fd {
            let raw = std::os::fd::IntoRawFd::into_raw_fd(fd);
            let closed = nix::unistd::close(raw);
            self.did("close", closed);
        }
    }

    pub(crate) fn stat(&mut self, name: &str) {
        let stat = lstat(&self.at(name)).map(|stat| shown(&stat));
        self.did(format!("lstat {name}"), stat);
    }

    pub(crate) fn fstat(&mut self, fd: &OwnedFd) {
        let stat = fstat(fd).map(|stat| shown(&stat));
        self.did("fstat", stat);
    }

    pub(crate) fn write(&mut self, fd: &OwnedFd, data: &[u8]) {
        let result = write(fd, data);
        self.did(format!("write {}", digest(data)), result);
    }

    fn pwrite(&mut self, fd: &OwnedFd, data: &[u8], offset: i64) {
        let result = pwrite(fd, data, offset);
        self.did(format!("pwrite {} {offset}", digest(data)), result);
    }

    fn read(&mut self, fd: &OwnedFd, len: usize) {
        let mut buffer = vec![0; len];
        let result = read(fd, &mut buffer).map(|len| digest(&buffer[..len]));
        self.did(format!("read {len}"), result);
    }

    pub(crate) fn pread(&mut self, fd: &OwnedFd, len: usize, offset: i64) {
        let mut buffer = vec![0; len];
        let result = pread(fd, &mut buffer, offset).map(|len| digest(&buffer[..len]));
        self.did(format!("pread {len} {offset}"), result);
    }

    pub(crate) fn file(&mut self, name: &str, data: &[u8]) {
        let fd = self.open(name, OFlag::O_CREAT | OFlag::O_WRONLY, 0o644);
        if let Some(fd) = &fd {
            if !data.is_empty() {
                self.write(fd, data);
            }
        }
        self.close(fd);
    }

    pub(crate) fn mkdir(&mut self, name: &str) {
        let made = mkdir(&self.at(name), Mode::from_bits_truncate(0o755));
        self.did(format!("mkdir {name}"), made);
    }

    fn rename(&mut self, from: &str, to: &str, flags: Option<RenameFlags>) {
        let (old, new) = (self.at(from), self.at(to));
        let result = match flags {
            None => renameat(AT_FDCWD, &old, AT_FDCWD, &new),
            Some(flags) => renameat2(AT_FDCWD, &old, AT_FDCWD, &new, flags),
        };
        self.did(format!("rename {from} {to} {flags:?}"), result);
    }

    fn unlink(&mut self, name: &str) {
        let result = unlink(&self.at(name));
        self.did(format!("unlink {name}"), result);
    }

    fn rmdir(&mut self, name: &str) {
        let result = unlinkat(AT_FDCWD, &self.at(name), UnlinkatFlags::RemoveDir);
        self.did(format!("rmdir {name}"), result);
    }

    fn symlink(&mut self, target: &str, name: &str) {
        let result = symlinkat(target, AT_FDCWD, &self.at(name));
        self.did(format!("symlink {target} {name}"), result);
    }

    fn link(&mut self, from: &str, to: &str) {
        let (old, new) = (self.at(from), self.at(to));
        let result = linkat(AT_FDCWD, &old, AT_FDCWD, &new, LinkatFlags::empty());
        self.did(format!("link {from} {to}"), result);
    }

    fn readlink(&mut self, name: &str) {
        let result = readlink(&self.at(name));
        self.did(format!("readlink {name}"), result);
    }

    pub(crate) fn names(&mut self) {
        self.stat("");
        self.stat("missing");
        self.mkdir("names");
        self.mkdir("names");
        self.mkdir("names/a");
        self.mkdir("names/b");
        self.mkdir("missing/x");
        let private = mkdir(&self.at("names/private"), Mode::from_bits_truncate(0o1700));
        self.did("mkdir names/private", private);
        self.stat("names/private");
        self.file("names/f", b"content of f");
        self.file("names/g", b"g");
        self.rename("names/f", "names/f2", None);
        self.stat("names/f");
        self.stat("names/f2");
        self.rename("names/f2", "names/a/f", None);
        self.rename("names/g", "names/a/f", Some(RenameFlags::RENAME_NOREPLACE));
        self.rename("names/g", "names/a/f", Some(RenameFlags::RENAME_EXCHANGE));
        self.stat("names/a/f");
        self.rename("names/missing", "names/a/f", Some(RenameFlags::RENAME_EXCHANGE));
        self.rename("names/a/f", "names/missing", Some(RenameFlags::RENAME_EXCHANGE));
        self.rename("names/g", "names/white", Some(RenameFlags::RENAME_WHITEOUT));
        self.stat("names/g");
        self.rename("names/white", "names/a/f", None);
        self.rename("names/missing", "names/x", None);
        self.rename("names/a", "names/b", None);
        self.rename("names/b", "names/c", None);
        self.file("names/c/in", b"in");
        self.mkdir("names/d");
        self.rename("names/d", "names/c", None);
        self.rename("names/d", "names/d/below", None);
        self.rename("names/d", "names/c/in", None);
        self.rename("names/c/in", "names/d", None);
        self.rename("names/c", "names/d", Some(RenameFlags::RENAME_EXCHANGE));
        self.stat("names/d/in");
        self.link("names/d/in", "names/hard");
        self.stat("names/hard");
        self.link("names/d/in", "names/hard");
        self.link("names/d/in", "names/hard2");
        self.link("names/d/in", "names/hard3");
        self.link("names/d", "names/hard4");
        self.link("names/missing", "names/hard5");
        self.symlink("hard", "names/soft");
        self.symlink("nowhere/at/all", "names/dangling");
        self.symlink("loop", "names/loop");
        self.symlink("again", "names/soft");
        self.symlink(&"long".repeat(500), "names/longlink");
        self.readlink("names/soft");
        self.readlink("names/longlink");
        self.readlink("names/hard");
        self.readlink("names/missing");
        self.stat("names/soft");
        let fd = self.open("names/soft", OFlag::O_RDONLY, 0);
        self.close(fd);
        let fd = self.open("names/dangling", OFlag::O_RDONLY, 0);
        self.close(fd);
        let fd = self.open("names/loop", OFlag::O_RDONLY, 0);
        self.close(fd);
        let fd = self.open("names/soft", OFlag::O_RDONLY | OFlag::O_NOFOLLOW, 0);
        self.close(fd);
        for (name, kind, device) in [
            ("fifo", SFlag::S_IFIFO, 0),
            ("socket", SFlag::S_IFSOCK, 0),
            ("char", SFlag::S_IFCHR, libc::makedev(1, 3)),
            ("block", SFlag::S_IFBLK, libc::makedev(250, 70_000)),
            ("regular", SFlag::S_IFREG, 0),
            ("fifo", SFlag::S_IFIFO, 0),
        ] {
            let name = format!("names/{name}");
            let made = mknod(&self.at(&name), kind, Mode::from_bits_truncate(0o640), device);
            self.did(format!("mknod {name}"), made);
            self.stat(&name);
        }
        let fd = self.open("names/char", OFlag::O_RDONLY, 0);
        self.close(fd);
        self.unlink("names/regular");
        self.unlink("names/regular");
        self.unlink("names/d");
        self.rmdir("names/d");
        self.rmdir("names/hard");
        self.rmdir("names/c");
        self.rmdir("names/c");
        self.unlink("names/soft");
        self.unlink("names/hard");
        self.stat("names/d/in");
        let long = format!("names/{}", "n".repeat(201));
        self.file(&long, b"");
        let longer = format!("names/{}", "n".repeat(256));
        self.file(&longer, b"");
        self.file("names/\u{e9}\u{1f980} \t\n\"", b"a name");
        self.stat("names/\u{e9}\u{1f980} \t\n\"");
        self.stat("names/d/in/below");
        let statx = sys::statx_btime(&self.at("names/d/in")).map(|(mode, size, _)| (mode, size));
        self.did("statx with btime", statx);
        let fs = statvfs(&self.at("names")).map(|s| {
            let inodes = (s.files(), s.files_free());
            let blocks = (s.blocks(), s.blocks_free(), s.blocks_available());
            (blocks, inodes, s.block_size(), s.fragment_size(), s.name_max())
        });
        self.did("statvfs", fs);
        for mode in [AccessFlags::F_OK, AccessFlags::R_OK, AccessFlags::X_OK, AccessFlags::W_OK] {
            let may = access(&self.at("names/d/in"), mode);
            self.did(format!("access {mode:?}"), may);
        }
        let may = access(&self.at("names/missing"), AccessFlags::F_OK);
        self.did("access missing", may);
        let both = AccessFlags::R_OK | AccessFlags::W_OK;
        let may = faccessat(AT_FDCWD, &self.at("names/private"), both, AtFlags::AT_EACCESS);
        self.did("faccessat", may);
    }

    pub(crate) fn open_flags(&mut self) {
        let (create, write) = (OFlag::O_CREAT, OFlag::O_WRONLY);
        self.mkdir("open");
        let fd = self.open("open/new", create | write | OFlag::O_EXCL, 0o4755);
        if let Some(fd) = &fd {
            self.fstat(fd);
        }
        self.close(fd);
        let fd = self.open("open/new", create | write | OFlag::O_EXCL, 0o600);
        self.close(fd);
        self.file("open/file", b"0123456789");
        for flags in [
            OFlag::O_RDONLY,
            OFlag::O_WRONLY,
            OFlag::O_RDWR,
            OFlag::O_RDWR | OFlag::O_NOATIME,
            OFlag::O_RDWR | OFlag::O_SYNC,
            OFlag::O_RDWR | OFlag::O_DSYNC,
            OFlag::O_RDWR | OFlag::O_NONBLOCK,
            OFlag::O_RDONLY | OFlag::O_DIRECTORY,
            OFlag::O_PATH,
            OFlag::O_RDWR | OFlag::O_CREAT,
        ] {
            let fd = self.open("open/file", flags, 0o600);
            if let Some(fd) = &fd {
                self.read(fd, 4);
                self.write(fd, b"w");
            }
            self.close(fd);
        }
        let fd = self.open("open/file", write | OFlag::O_APPEND, 0);
        if let Some(fd) = &fd {
            self.write(fd, b"appended");
            self.pwrite(fd, b"appended too", 0);
        }
        self.close(fd);
        self.stat("open/file");
        let fd = self.open("open/file", OFlag::O_RDWR | OFlag::O_TRUNC, 0);
        if let Some(fd) = &fd {
            self.fstat(fd);
            self.write(fd, b"afresh");
        }
        self.close(fd);
        self.stat("open/file");
        let fd = self.open("open", OFlag::O_RDWR, 0);
        self.close(fd);
        let fd = self.open("open", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
        self.close(fd);
        let fd = self.open("open/missing", OFlag::O_RDONLY, 0);
        self.close(fd);
        let fd = self.open("open/file/below", OFlag::O_RDONLY, 0);
        self.close(fd);
        let fd = self.open("open", OFlag::O_TMPFILE | OFlag::O_RDWR, 0o600);
        self.close(fd);

        // Unlinked, and still there for those who have it open.
        let fd = self.open("open/file", OFlag::O_RDWR, 0);
        self.unlink("open/file");
        self.stat("open/file");
        if let Some(fd) = &fd {
            self.write(fd, b"still here");
            self.pread(fd, 20, 0);
            self.fstat(fd);
            let cut = ftruncate(fd, 5);
            self.did("ftruncate 5", cut);
            let changed = fchmod(fd, Mode::from_bits_truncate(0o600));
            self.did("fchmod", changed);
            self.fstat(fd);
        }
        self.close(fd);
    }

    pub(crate) fn data(&mut self) {
        self.mkdir("data");
        let fd = self.open("data/file", OFlag::O_CREAT | OFlag::O_RDWR, 0o644);
        let Some(fd) = fd else { return };
        self.write(&fd, b"hello, ");
        self.write(&fd, b"world");
        self.write(&fd, b"");
        let parts = [std::io::IoSlice::new(b" in"), std::io::IoSlice::new(b" parts")];
        let result = writev(&fd, &parts);
        self.did("writev", result);
        self.pread(&fd, 100, 0);
        self.pread(&fd, 5, 7);
        self.pread(&fd, 5, 1000);
        self.pwrite(&fd, b"far away", 10_000);
        self.fstat(&fd);
        self.pread(&fd, 20_000, 0);
        for (offset, whence) in [
            (0, Whence::SeekSet),
            (3, Whence::SeekCur),
            (-3, Whence::SeekEnd),
            (0, Whence::SeekData),
            (0, Whence::SeekHole),
            (5000, Whence::SeekHole),
            (20_000, Whence::SeekData),
            (20_000, Whence::SeekHole),
            (-1, Whence::SeekSet),
        ] {
            let result = lseek(&fd, offset, whence);
            self.did(format!("lseek {offset} {whence:?}"), result);
        }
        for size in [0, 100, 50, 8 << 20, (8 << 20) + 1, 12] {
            let result = ftruncate(&fd, size);
            self.did(format!("ftruncate {size}"), result);
        }
        let result = truncate(&self.at("data/file"), 6);
        self.did("truncate 6", result);
        let result = truncate(&self.at("data/missing"), 6);
        self.did("truncate missing", result);
        self.pread(&fd, 100, 0);
        let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        for (mode, offset, len) in [
            (FallocateFlags::empty(), 0, 9000),
            (FallocateFlags::FALLOC_FL_KEEP_SIZE, 9000, 100_000),
            (FallocateFlags::FALLOC_FL_KEEP_SIZE, 9000, 100 << 20),
            (punch, 1, 3),
            (FallocateFlags::FALLOC_FL_ZERO_RANGE, 0, 4096),
            (FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
            (FallocateFlags::empty(), 0, 100 << 20),
            (FallocateFlags::empty(), 0, 0),
        ] {
            let result = fallocate(&fd, mode, offset, len);
            self.did(format!("fallocate {mode:?} {offset} {len}"), result);
            self.fstat(&fd);
        }
        self.pread(&fd, 10, 0);
        let result = fsync(&fd);
        self.did("fsync", result);
        let result = fdatasync(&fd);
        self.did("fdatasync", result);
        let result = sys::syncfs(fd.as_fd());
        self.did("syncfs", result);

        self.pwrite(&fd, &pattern(9000), 0);
        let other = self.open("data/copy", OFlag::O_CREAT | OFlag::O_RDWR, 0o644);
        if let Some(other) = &other {
            for (mut from, mut to, len) in [(0, 0, 5000), (100, 7000, 100_000), (50_000, 0, 10)] {
                let result = copy_file_range(&fd, Some(&mut from), other, Some(&mut to), len);
                self.did(format!("copy_file_range {len}"), result);
            }
            let result = copy_file_range(&fd, None, other, None, 7);
            self.did("copy_file_range here", result);
            self.pread(other, 20_000, 0);
            self.fstat(other);
        }
        self.close(other);
        self.close(Some(fd));

        let fd = self.open("data/file", OFlag::O_RDWR | OFlag::O_DIRECT, 0);
        if let Some(fd) = &fd {
            let mut memory = Vec::new();
            let buffer = sys::aligned(&mut memory, 8192);
            buffer.copy_from_slice(&pattern(8192));
            let result = pwrite(fd, buffer, 4096);
            self.did("pwrite direct", result);
            let result = pread(fd, buffer, 0).map(|len| digest(&buffer[..len]));
            self.did("pread direct", result);
            let result = pread(fd, &mut buffer[..100], 12_000).map(|len| digest(&buffer[..len]));
            self.did("pread direct, unaligned", result);
            let result = pread(fd, buffer, 1 << 20);
            self.did("pread direct beyond the end", result);
        }
        self.close(fd);
    }

    pub(crate) fn large_data(&mut self) {
        const MIB: usize = 1 << 20;
        let data = pattern(MIB);
        self.mkdir("large");
        for (name, flags) in [("large/buffered", OFlag::empty()), ("large/direct", OFlag::O_DIRECT)]
        {
            let fd = self.open(name, OFlag::O_CREAT | OFlag::O_RDWR | flags, 0o644);
            if let Some(fd) = &fd {
                let mut memory = Vec::new();
                let buffer = sys::aligned(&mut memory, MIB);
                buffer.copy_from_slice(&data);
                let result = write(fd, buffer);
                self.did("write 1 MiB", result);
                let result = pwrite(fd, buffer, 3 << 20);
                self.did("pwrite 1 MiB at 3 MiB", result);
                let result = fsync(fd);
                self.did("fsync", result);
            }
            self.close(fd);
            let fd = self.open(name, OFlag::O_RDONLY | flags, 0);
            if let Some(fd) = &fd {
                let mut memory = Vec::new();
                let buffer = sys::aligned(&mut memory, MIB);
                for _ in 0..5 {
                    let result = read(fd, buffer).map(|len| digest(&buffer[..len]));
                    self.did("read 1 MiB", result);
                }
            }
            self.close(fd);
            self.stat(name);
        }
    }

    pub(crate) fn many_small(&mut self) {
        self.mkdir("small");
        for i in 0..25 {
            self.file(&format!("small/{i}"), format!("file {i}").as_bytes());
        }
        for i in 0..25 {
            let fd = self.open(&format!("small/{i}"), OFlag::O_RDONLY, 0);
            if let Some(fd) = &fd {
                self.read(fd, 100);
            }
            self.close(fd);
            self.stat(&format!("small/{i}"));
        }
        let fd = self.open("small/0", OFlag::O_RDWR, 0);
        if let Some(fd) = &fd {
            for i in 0..60 {
                self.pwrite(fd, &[b'a' + i % 26], i64::from(i) * 3);
                self.pread(fd, 2, i64::from(i) * 3);
            }
        }
        self.close(fd);
        for i in (0..25).step_by(2) {
            self.unlink(&format!("small/{i}"));
        }
    }

    pub(crate) fn attributes(&mut self) {
        self.mkdir("attr");
        self.file("attr/file", b"x");
        self.symlink("file", "attr/link");
        for mode in [0o600, 0o4711, 0o2070, 0o1777, 0] {
            let mode = Mode::from_bits_truncate(mode);
            let done =
                fchmodat(AT_FDCWD, &self.at("attr/file"), mode, FchmodatFlags::FollowSymlink);
            self.did(format!("chmod {mode:?}"), done);
            self.stat("attr/file");
        }
        let done = fchmodat(
            AT_FDCWD,
            &self.at("attr/missing"),
            Mode::from_bits_truncate(0o600),
            FchmodatFlags::FollowSymlink,
        );
        self.did("chmod missing", done);
        let (user, group) = (Some(Uid::from_raw(1000)), Some(Gid::from_raw(2000)));
        for (name, uid, gid) in [
            ("attr/file", user, None),
            ("attr/file", None, group),
            ("attr/file", Some(Uid::from_raw(0)), Some(Gid::from_raw(0))),
            ("attr/link", user, group),
            ("attr", user, group),
            ("attr/file", None, None),
        ] {
            let flag = AtFlags::AT_SYMLINK_NOFOLLOW;
            let done = fchownat(AT_FDCWD, &self.at(name), uid, gid, flag);
            self.did(format!("chown {name} {uid:?} {gid:?}"), done);
            self.stat(name);
        }
        let fd = self.open("attr/file", OFlag::O_RDWR, 0);
        if let Some(fd) = &fd {
            let done = fchmod(fd, Mode::from_bits_truncate(0o6755));
            self.did("fchmod", done);
            self.write(fd, b"by root, who keeps setuid");
            self.fstat(fd);
            let done = fchown(fd, Some(Uid::from_raw(7)), Some(Gid::from_raw(8)));
            self.did("fchown", done);
            self.fstat(fd);
        }
        self.close(fd);
    }

    pub(crate) fn times(&mut self) {
        const YEAR: i64 = 365 * 86_400;
        self.mkdir("times");
        self.file("times/file", b"x");
        self.symlink("file", "times/link");
        let fd = self.open("times/file", OFlag::O_RDWR, 0);
        let at = |seconds, nanos| TimeSpec::new(seconds, nanos);
        for (atime, mtime) in [
            (at(0, 0), at(1, 999_999_999)),
            (at(30 * YEAR, 123_456_789), at(200 * YEAR, 1)),
            (at(-1, 0), at(-1, 0)),
            (at(-10 * YEAR, 0), at(-100 * YEAR, 0)),
            (TimeSpec::UTIME_NOW, TimeSpec::UTIME_OMIT),
            (TimeSpec::UTIME_OMIT, TimeSpec::UTIME_NOW),
            (TimeSpec::UTIME_NOW, TimeSpec::UTIME_NOW),
            (TimeSpec::UTIME_OMIT, TimeSpec::UTIME_OMIT),
            (TimeSpec::UTIME_OMIT, at(5, 5)),
            (at(6, 6), TimeSpec::UTIME_NOW),
            (at(6, 1_000_000_000), at(6, -1)),
        ] {
            let flag = UtimensatFlags::NoFollowSymlink;
            for name in ["times/file", "times/link", "times"] {
                let done = utimensat(AT_FDCWD, &self.at(name), &atime, &mtime, flag);
                self.did(format!("utimensat {name} {atime:?} {mtime:?}"), done);
                self.stat(name);
            }
            if let Some(fd) = &fd {
                let done = futimens(fd, &atime, &mtime);
                self.did("futimens", done);
                self.fstat(fd);
            }
        }
        self.close(fd);
    }

    /// Times before 1970 with a fraction of a second.
    pub(crate) fn fractions_before_1970(&mut self) {
        self.file("before", b"x");
        for (atime, mtime) in [
            (TimeSpec::new(-1, 500_000_000), TimeSpec::new(-2, 1)),
            (TimeSpec::new(-1_000_000, 999_999_999), TimeSpec::UTIME_OMIT),
        ] {
            let flag = UtimensatFlags::NoFollowSymlink;
            let done = utimensat(AT_FDCWD, &self.at("before"), &atime, &mtime, flag);
            self.did(format!("utimensat before {atime:?} {mtime:?}"), done);
            self.stat("before");
        }
    }

    pub(crate) fn xattrs(&mut self) {
        self.mkdir("xattr");
        self.file("xattr/file", b"x");
        let (create, replace) = (libc::XATTR_CREATE, libc::XATTR_REPLACE);
        let large = pattern(30_000);
        for (name, value, flags) in [
            ("user.a", &b"value of a"[..], 0),
            ("user.a", b"another", create),
            ("user.a", b"another", replace),
            ("user.b", b"b", replace),
            ("user.b", b"", create),
            ("user.large", &large, 0),
            ("user.larger", &pattern(50_000), 0),
            ("user.largest", &pattern(65_537), 0),
            ("trusted.t", b"t", 0),
            ("security.s", b"s", 0),
            ("system.unknown", b"s", 0),
            ("nonamespace", b"n", 0),
            ("user.", b"empty", 0),
            ("user.both", b"x", create | replace),
        ] {
            let path = self.at("xattr/file");
            let done = sys::setxattr(&path, name, value, flags);
            self.did(format!("setxattr {name} {} {flags}", digest(value)), done);
        }
        for (name, size) in [
            ("user.a", 0),
            ("user.a", 1),
            ("user.a", 7),
            ("user.a", 100),
            ("user.b", 0),
            ("user.b", 10),
            ("user.large", 0),
            ("user.large", 29_999),
            ("user.large", 65_536),
            ("user.missing", 0),
            ("user.missing", 10),
            ("trusted.t", 10),
            ("security.capability", 100),
            ("system.posix_acl_access", 100),
        ] {
            let path = self.at("xattr/file");
            let got = sys::getxattr(&path, name, size).map(|(len, value)| (len, digest(&value)));
            self.did(format!("getxattr {name} {size}"), got);
        }
        for size in [0, 5, 1000] {
            let path = self.at("xattr/file");
            let got = sys::listxattr(&path, size).map(|(len, names)| (len, digest(&names)));
            self.did(format!("listxattr {size}"), got);
        }
        for name in ["user.a", "user.a", "trusted.t", "user.large"] {
            let done = sys::removexattr(&self.at("xattr/file"), name);
            self.did(format!("removexattr {name}"), done);
        }
        let got = sys::listxattr(&self.at("xattr"), 1000).map(|(len, names)| (len, digest(&names)));
        self.did("listxattr of a directory", got);
        let done = sys::setxattr(&self.at("xattr/missing"), "user.a", b"x", 0);
        self.did("setxattr missing", done);
    }

    pub(crate) fn directories(&mut self) {
        self.mkdir("dir");
        for i in 0..40 {
            self.file(&format!("dir/entry-{i}-{}", "x".repeat(i)), b"");
        }
        self.mkdir("dir/sub");
        self.symlink("sub", "dir/link");
        for room in [32 << 10, 4096, 600, 280] {
            let fd = self.open("dir", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
            let Some(fd) = fd else { continue };
            loop {
                let entries = sys::getdents(fd.as_fd(), room);
                let more = entries.as_ref().is_ok_and(|entries| !entries.is_empty());
                self.did(format!("getdents {room}"), entries);
                if !more {
                    break;
                }
            }
            for position in [0, 1, 5, 20, 1000] {
                let result = lseek(&fd, position, Whence::SeekSet);
                self.did(format!("seekdir {position}"), result);
                let entries = sys::getdents(fd.as_fd(), 280);
                self.did("getdents 280", entries);
            }
            let result = fsync(&fd);
            self.did("fsync of a directory", result);
            let result = fdatasync(&fd);
            self.did("fdatasync of a directory", result);
            let result = sys::getdents(fd.as_fd(), 10);
            self.did("getdents 10", result);
            self.close(Some(fd));
        }
        // Changed between two reads.
        let fd = self.open("dir", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
        if let Some(fd) = &fd {
            let entries = sys::getdents(fd.as_fd(), 280);
            self.did("getdents 280", entries);
            self.unlink("dir/link");
            self.file("dir/late", b"");
            loop {
                let entries = sys::getdents(fd.as_fd(), 4096);
                let more = entries.as_ref().is_ok_and(|entries| !entries.is_empty());
                self.did("getdents 4096", entries);
                if !more {
                    break;
                }
            }
        }
        self.close(fd);
        let made = mkdirat(AT_FDCWD, &self.at("dir/sub/sub"), Mode::from_bits_truncate(0o777));
        self.did("mkdirat", made);
        self.rmdir("dir/sub");
        self.rmdir("dir/sub/sub");
        self.rmdir("dir/sub");
        let fd = self.open("dir/late", OFlag::O_RDONLY, 0);
        if let Some(fd) = &fd {
            let entries = sys::getdents(fd.as_fd(), 4096);
            self.did("getdents of a file", entries);
        }
        self.close(fd);
    }

    pub(crate) fn locks(&mut self) {
        self.mkdir("lock");
        self.file("lock/posix", b"0123456789");
        self.file("lock/flock", b"");
        let a = self.open("lock/posix", OFlag::O_RDWR, 0);
        let b = self.open("lock/posix", OFlag::O_RDWR, 0);
        let (Some(a), Some(b)) = (a, b) else { return };
        let (r, w, un) = (libc::F_RDLCK, libc::F_WRLCK, libc::F_UNLCK);
        for (who, fd, typ, start, len) in [
            ("a", &a, w, 0, 5),
            ("b", &b, w, 5, 5),
            ("b", &b, r, 4, 1),
            ("a", &a, r, 0, 5),
            ("b", &b, r, 0, 0),
            ("b", &b, w, 0, 1),
            ("a", &a, un, 1, 2),
            ("b", &b, w, 1, 2),
            ("b", &b, un, 0, 0),
            ("a", &a, w, 0, 0),
        ] {
            let wanted = range(typ, start, len);
            let set = fcntl(fd, FcntlArg::F_OFD_SETLK(&wanted));
            self.did(format!("F_OFD_SETLK {who} {typ} {start}+{len}"), set);
            let mut found = range(w, 0, 0);
            let got = fcntl(&b, FcntlArg::F_OFD_GETLK(&mut found));
            let got = got.map(|_| (found.l_type, found.l_whence, found.l_start, found.l_len));
            self.did("F_OFD_GETLK b", got);
        }
        let waits = thread::scope(|scope| {
            let waits = scope.spawn(|| fcntl(&b, FcntlArg::F_OFD_SETLKW(&range(w, 3, 4))));
            // It cannot have it yet: give it time to ask, and then way.
            self.await_trace("setlk", "later", "F_OFD_SETLKW", &waits);
            let released = fcntl(&a, FcntlArg::F_OFD_SETLK(&range(un, 0, 0)));
            self.did("F_OFD_SETLK a gives way", released);
            waits.join().expect("a lock")
        });
        self.did("F_OFD_SETLKW b", waits);
        // A process's own locks never conflict, and all go with the first close.
        let posix = fcntl(&a, FcntlArg::F_SETLK(&range(w, 100, 10)));
        self.did("F_SETLK a", posix);
        let posix = fcntl(&b, FcntlArg::F_SETLK(&range(r, 105, 10)));
        self.did("F_SETLK b", posix);
        let mut found = range(w, 0, 0);
        let got = fcntl(&a, FcntlArg::F_GETLK(&mut found)).map(|_| (found.l_type, found.l_start));
        self.did("F_GETLK a", got);
        self.close(Some(b));
        let mut found = range(w, 0, 0);
        let got = fcntl(&a, FcntlArg::F_OFD_GETLK(&mut found)).map(|_| found.l_type);
        self.did("F_OFD_GETLK after a close", got);
        self.close(Some(a));

        let file = |script: &mut Self| script.open("lock/flock", OFlag::O_RDWR, 0).map(File::from);
        let (Some(a), Some(b)) = (file(self), file(self)) else { return };
        let take = |script: &mut Self, who: &str, file: File, arg: FlockArg| {
            let taken = Flock::lock(file, arg);
            match taken {
                Ok(lock) => {
                    script.did(format!("flock {who} {arg:?}"), Ok(()));
                    Ok(lock)
                }
                Err((file, errno)) => {
                    script.did::<()>(format!("flock {who} {arg:?}"), Err(errno));
                    Err(file)
                }
            }
        };
        let (exclusive, shared) = (FlockArg::LockExclusiveNonblock, FlockArg::LockSharedNonblock);
        let held = take(self, "a", a, exclusive);
        let b = take(self, "b", b, shared).err();
        let a = held.ok().map(|held| {
            let released = held.unlock().map_err(|(_, errno)| errno);
            self.quietly("flock a unlock", released)
        });
        let held = b.map(|b| take(self, "b", b, shared));
        if let Some(Some(a)) = a {
            let _ = take(self, "a", a, exclusive).map(drop);
        }
        drop(held);
        // It is gone with the last descriptor.
        let c = file(self);
        if let Some(c) = c {
            let held = take(self, "c", c, exclusive);
            drop(held);
        }
    }

    /// Waits until the filesystem has recorded such a call, or a blocked thread has ended.
    pub(crate) fn await_trace<T>(
        &mut self,
        method: &str,
        part: &str,
        what: &str,
        thread: &thread::ScopedJoinHandle<'_, T>,
    ) {
        let trace = self.trace.clone();
        let seen = || {
            let lines = trace.lines();
            lines.iter().any(|line| line.contains(method) && line.contains(part))
        };
        // Where the kernel keeps the locks itself there is nothing to be seen.
        let start = std::time::Instant::now();
        while !seen() && !thread.is_finished() && start.elapsed() < Duration::from_millis(300) {
            thread::sleep(Duration::from_millis(2));
        }
        self.log.push(format!("{what} waits {}", !thread.is_finished()));
    }

    pub(crate) fn control(&mut self) {
        self.mkdir("control");
        self.file("control/file", b"");
        let fd = self.open("control/file", OFlag::O_RDWR, 0);
        let Some(fd) = fd else { return };
        let (none, out, into) = (0_u32, 2 << 30, 1 << 30);
        let number = |direction: u32, size: u32, nr: u32| direction | size << 16 | 0x45 << 8 | nr;
        let commands = [
            number(out, 8, 0),
            number(out, 64, 0),
            number(into, 8, 1),
            number(none, 0, 1),
            number(out | into, 32, 2),
            number(out, 16, 3),
            number(out, 8, 4),
            number(out, 8, 5),
            number(none, 0, 6),
        ];
        let dir = self.open("control", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
        for fd in [Some(&fd), dir.as_ref()].into_iter().flatten() {
            for command in commands {
                let mut data = [b'i'; 64];
                data[0] = b'>';
                let result = sys::ioctl(fd.as_fd(), command, &mut data);
                let result = result.map(|result| (result, digest(&data)));
                self.did(format!("ioctl {command:#x}"), result);
            }
        }
        self.close(dir);

        let events = PollFlags::POLLIN | PollFlags::POLLPRI;
        let asked = |fd: &OwnedFd, timeout: PollTimeout| {
            let mut fds = [PollFd::new(fd.as_fd(), events)];
            poll(&mut fds, timeout).map(|ready| (ready, fds[0].revents()))
        };
        let result = asked(&fd, PollTimeout::ZERO);
        self.did("poll at once", result);
        let result = asked(&fd, PollTimeout::from(30_u8));
        self.did("poll a while", result);
        let before = self.trace.len();
        let result = thread::scope(|scope| {
            let polls = scope.spawn(|| asked(&fd, PollTimeout::from(5000_u16)));
            let trace = self.trace.clone();
            let start = std::time::Instant::now();
            let asked = || trace.lines()[before..].iter().any(|line| line.contains("poll"));
            while !asked() && !polls.is_finished() && start.elapsed() < Duration::from_secs(2) {
                thread::sleep(Duration::from_millis(2));
            }
            let result = pwrite(&fd, b"ring", 0);
            self.did("pwrite rings", result);
            polls.join().expect("a poll")
        });
        self.did("poll until it rings", result);
        let result = asked(&fd, PollTimeout::ZERO);
        self.did("poll when ready", result);
        self.close(Some(fd));
    }

    pub(crate) fn mapping(&mut self) {
        self.mkdir("map");
        self.file("map/file", &pattern(10_000));
        let len = NonZeroUsize::new(10_000).expect("not 0");
        for (name, open, flags, change) in [
            ("private", OFlag::O_RDONLY, libc::MAP_PRIVATE, None),
            ("shared", OFlag::O_RDONLY, libc::MAP_SHARED, None),
            ("copied on write", OFlag::O_RDONLY, libc::MAP_PRIVATE, Some(5)),
            ("shared for writing", OFlag::O_RDWR, libc::MAP_SHARED, Some(5000)),
            ("not permitted", OFlag::O_RDONLY, libc::MAP_SHARED, Some(1)),
        ] {
            let fd = self.open("map/file", open, 0);
            if let Some(fd) = &fd {
                let bytes = sys::mapped(fd.as_fd(), len, flags, change).map(|it| digest(&it));
                self.did(format!("mmap {name}"), bytes);
                self.pread(fd, 20, 4990);
            }
            self.close(fd);
        }
        let fd = self.open("map/file", OFlag::O_RDONLY, 0);
        if let Some(fd) = &fd {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let result = posix_fadvise(fd, 0, 0, advice);
            self.did("fadvise", result);
            self.pread(fd, 20, 4990);
        }
        self.close(fd);
    }

    pub(crate) fn errors(&mut self) {
        self.mkdir("errors");
        self.file("errors/file", b"x");
        let read_only = self.open("errors/file", OFlag::O_RDONLY, 0);
        if let Some(fd) = &read_only {
            self.write(fd, b"not allowed");
            let result = ftruncate(fd, 0);
            self.did("ftruncate of a file open for reading", result);
        }
        self.close(read_only);
        let write_only = self.open("errors/file", OFlag::O_WRONLY, 0);
        if let Some(fd) = &write_only {
            self.read(fd, 1);
            self.pwrite(fd, b"too far", 9 << 20);
            self.pwrite(fd, b"negative", -1);
            let result = ftruncate(fd, -1);
            self.did("ftruncate -1", result);
        }
        self.close(write_only);
        self.mkdir("errors/file/below");
        self.file("errors/file/below", b"");
        self.symlink("x", "errors/file/below");
        self.rename("errors/file", "errors/file/below", None);
        self.rename("errors", "errors/file", None);
        self.rmdir("");
        self.unlink("errors/.");
        self.rmdir("errors/..");
        self.rmdir("errors/.");
        let path = CString::new("").expect("no NUL");
        let result = access(path.as_c_str(), AccessFlags::F_OK);
        self.did("access of an empty path", result);
    }

    /// Every kind of call, on a tree whose filesystem may implement none of them.
    pub(crate) fn on_a_bare_tree(&mut self) {
        for name in ["", "file", "dir", "link", "fifo", "missing"] {
            self.stat(name);
        }
        self.mkdir("new");
        self.mkdir("dir");
        self.file("new", b"x");
        self.symlink("x", "new");
        self.link("file", "new");
        self.unlink("file");
        self.rmdir("dir");
        self.rename("file", "new", None);
        self.rename("file", "new", Some(RenameFlags::RENAME_NOREPLACE));
        self.rename("file", "dir/new", Some(RenameFlags::RENAME_EXCHANGE));
        self.readlink("link");
        self.readlink("file");
        let made = mknod(&self.at("new"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0);
        self.did("mknod", made);
        let done = fchmodat(
            AT_FDCWD,
            &self.at("file"),
            Mode::from_bits_truncate(0o600),
            FchmodatFlags::FollowSymlink,
        );
        self.did("chmod", done);
        let result = truncate(&self.at("file"), 5);
        self.did("truncate", result);
        let (now, flag) = (TimeSpec::UTIME_NOW, UtimensatFlags::FollowSymlink);
        let done = utimensat(AT_FDCWD, &self.at("file"), &now, &now, flag);
        self.did("utimensat", done);
        let fs = statvfs(self.root).map(|s| (s.blocks(), s.files(), s.block_size(), s.name_max()));
        self.did("statvfs", fs);
        let may = access(&self.at("file"), AccessFlags::R_OK);
        self.did("access", may);
        let may = access(&self.at("dir"), AccessFlags::X_OK);
        self.did("access of a directory", may);
        let statx = sys::statx_btime(&self.at("file"));
        self.did("statx with btime", statx);
        let (path, name) = (self.at("file"), "user.x");
        let done = sys::setxattr(&path, name, b"x", 0);
        self.did("setxattr", done);
        let done = sys::getxattr(&path, name, 10);
        self.did("getxattr", done);
        let done = sys::listxattr(&path, 10);
        self.did("listxattr", done);
        let done = sys::removexattr(&path, name);
        self.did("removexattr", done);
        let fd = self.open("", OFlag::O_TMPFILE | OFlag::O_RDWR, 0o600);
        self.close(fd);
        for flags in
            [OFlag::O_RDWR, OFlag::O_RDWR | OFlag::O_TRUNC, OFlag::O_RDWR | OFlag::O_DIRECT]
        {
            let fd = self.open("file", flags, 0);
            if let Some(fd) = &fd {
                self.on_a_bare_file(fd);
            }
            self.close(fd);
        }
        for name in ["", "dir"] {
            let fd = self.open(name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
            if let Some(fd) = &fd {
                let entries = sys::getdents(fd.as_fd(), 4096);
                self.did("getdents", entries);
                let result = fsync(fd);
                self.did("fsync of a directory", result);
                self.control_of(fd.as_fd());
            }
            self.close(fd);
        }
    }

    fn on_a_bare_file(&mut self, fd: &OwnedFd) {
        self.fstat(fd);
        self.pread(fd, 10, 0);
        self.pwrite(fd, b"x", 0);
        let result = fsync(fd);
        self.did("fsync", result);
        let result = fdatasync(fd);
        self.did("fdatasync", result);
        let result = lseek(fd, 0, Whence::SeekData);
        self.did("lseek SEEK_DATA", result);
        let result = lseek(fd, 0, Whence::SeekHole);
        self.did("lseek SEEK_HOLE", result);
        let result = fallocate(fd, FallocateFlags::empty(), 0, 10);
        self.did("fallocate", result);
        let result = copy_file_range(fd, Some(&mut 0), fd, Some(&mut 100), 10);
        self.did("copy_file_range", result);
        let result = fcntl(fd, FcntlArg::F_SETLK(&range(libc::F_WRLCK, 0, 5)));
        self.did("F_SETLK", result);
        let mut found = range(libc::F_WRLCK, 0, 5);
        let result = fcntl(fd, FcntlArg::F_OFD_GETLK(&mut found)).map(|_| found.l_type);
        self.did("F_OFD_GETLK", result);
        if let Ok(other) = fd.try_clone() {
            let result = Flock::lock(File::from(other), FlockArg::LockExclusiveNonblock);
            let result = result.map(drop).map_err(|(_, errno)| errno);
            self.did("flock", result);
        }
        let result = sys::syncfs(fd.as_fd());
        self.did("syncfs", result);
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        let result = poll(&mut fds, PollTimeout::ZERO).map(|ready| (ready, fds[0].revents()));
        self.did("poll", result);
        self.control_of(fd.as_fd());
    }

    fn control_of(&mut self, fd: BorrowedFd<'_>) {
        let mut data = [0; 64];
        let result = sys::ioctl(fd, 2 << 30 | 8 << 16 | 0x45 << 8, &mut data);
        self.did("ioctl", result);
        // FS_IOC_GETFLAGS
        let result = sys::ioctl(fd, 2 << 30 | 8 << 16 | 0x66 << 8 | 1, &mut data);
        self.did("ioctl FS_IOC_GETFLAGS", result);
    }

    /// A few calls, by whoever calls.
    pub(crate) fn a_few(&mut self) {
        self.stat("");
        self.stat("missing");
        self.file("a-file", b"content");
        self.stat("a-file");
        let fd = self.open("a-file", OFlag::O_RDWR, 0);
        if let Some(fd) = &fd {
            self.pread(fd, 100, 0);
            self.pwrite(fd, b"CON", 0);
            let result = fsync(fd);
            self.did("fsync", result);
        }
        self.close(fd);
        self.mkdir("a-dir");
        let fd = self.open("", OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0);
        if let Some(fd) = &fd {
            let entries = sys::getdents(fd.as_fd(), 4096);
            self.did("getdents", entries);
        }
        self.close(fd);
        let fs = statvfs(self.root).map(|s| s.blocks());
        self.did("statvfs", fs);
        self.unlink("a-file");
        self.rmdir("a-dir");
    }

    /// What the kernel has to ask for, or still knows, of some files.
    pub(crate) fn look_at(&mut self, names: &[&str]) {
        for name in names {
            self.stat(name);
            let fd = self.open(name, OFlag::O_RDONLY, 0);
            if let Some(fd) = &fd {
                self.pread(fd, 10, 0);
                self.pread(fd, 10, 10_000);
            }
            self.close(fd);
        }
    }

    /// A file that is another one's content.
    pub(crate) fn passed_through(&mut self) {
        for flags in [OFlag::O_CREAT | OFlag::O_RDWR, OFlag::O_RDWR, OFlag::O_RDWR] {
            let fd = self.open("file", flags, 0o644);
            if let Some(fd) = &fd {
                self.pread(fd, 100, 0);
                self.pwrite(fd, b"WRITTEN", 0);
                self.pread(fd, 100, 0);
                let bytes = sys::mapped(
                    fd.as_fd(),
                    NonZeroUsize::new(20).expect("not 0"),
                    libc::MAP_SHARED,
                    None,
                );
                self.did("mmap", bytes.map(|bytes| digest(&bytes)));
                let again = self.open("file", OFlag::O_RDONLY, 0);
                if let Some(again) = &again {
                    self.read(again, 7);
                }
                self.close(again);
                let result = fsync(fd);
                self.did("fsync", result);
            }
            self.close(fd);
        }
    }

    /// Reads and writes of an open file, by whoever calls.
    pub(crate) fn on_an_open_file(&mut self, fd: BorrowedFd<'_>) {
        let mut buffer = [0; 100];
        let result = pread(fd, &mut buffer, 0).map(|len| digest(&buffer[..len]));
        self.did("pread", result);
        let result = pwrite(fd, b"!", 0);
        self.did("pwrite", result);
        let result = fstat(fd).map(|stat| shown(&stat));
        self.did("fstat", result);
        let result = fsync(fd);
        self.did("fsync", result);
    }
}

/// Contents that differ everywhere.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

pub(crate) fn range(typ: i32, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: typ as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

/// What of a `stat` must be equal: all but the device, and times that are now.
fn shown(stat: &FileStat) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    let time = |seconds: i64, nanos: i64| match now - seconds {
        -3600..3600 => "now".to_owned(),
        _ => format!("{seconds}.{nanos:09}"),
    };
    let FileStat { st_ino, st_mode, st_nlink, st_uid, st_gid, st_rdev, st_size, .. } = stat;
    format!(
        "{st_ino} {st_mode:o} x{st_nlink} {st_uid}:{st_gid} {st_rdev:#x} {st_size}/{} {} {} {} {}",
        stat.st_blocks,
        stat.st_blksize,
        time(stat.st_atime, stat.st_atime_nsec),
        time(stat.st_mtime, stat.st_mtime_nsec),
        time(stat.st_ctime, stat.st_ctime_nsec)
    )
}
