//! How a filesystem of the sync trait answers.
//!
//! Every method gets the reply that fits its operation. It may be used at once or be moved to
//! another thread and used later; one that is dropped unused answers `EIO`, so that no caller
//! waits for ever.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use zerocopy::IntoBytes;

use crate::answer;
use crate::duty::Duty;
use crate::spare;
use crate::transport::{BackingId, Port};
use crate::types::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, PollEvents, StatxAttr,
};
use crate::wire::dirents::Dirents;

/// A reply may be used from any thread, and after its session.
pub(crate) type Raw = Duty<Arc<Port>>;

macro_rules! replies {
    ($($(#[$meta:meta])* $name:ident)*) => { $(
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name {
            raw: Raw,
        }

        impl $name {
            pub(crate) fn new(raw: Raw) -> Self {
                Self { raw }
            }

            /// Refuses: the caller's system call fails with `err`.
            pub fn error(self, err: Errno) {
                self.raw.error(err);
            }
        }
    )* };
}

replies! {
    /// Answers an operation that succeeds or fails, and says no more.
    ReplyEmpty
    /// Answers with bytes: `read`, `readlink`.
    ReplyData
    /// Answers with a directory entry: `lookup`, `mknod`, `mkdir`, `symlink`, `link`.
    ReplyEntry
    /// Answers with attributes: `getattr`, `setattr`.
    ReplyAttr
    /// Answers `statx`.
    ReplyStatx
    /// Answers with an open file or directory: `open`, `opendir`.
    ReplyOpen
    /// Answers with a new file that is open: `create`, `tmpfile`.
    ReplyCreate
    /// Answers with how much was written: `write`, `copy_file_range`.
    ReplyWrite
    /// Answers `statfs`.
    ReplyStatfs
    /// Answers `getlk`.
    ReplyLock
    /// Answers `bmap`.
    ReplyBmap
    /// Answers `ioctl`.
    ReplyIoctl
    /// Answers `poll`.
    ReplyPoll
    /// Answers `getxattr` and `listxattr`.
    ReplyXattr
    /// Answers `lseek`.
    ReplyLseek
}

impl ReplyEmpty {
    /// It is done.
    pub fn ok(self) {
        self.raw.ok(&[]);
    }
}

impl ReplyData {
    /// These bytes.
    ///
    /// Fewer than a `read` asked for mean the end of the file, unless the file was opened with
    /// `FOPEN_DIRECT_IO`. More than it asked for are refused: the caller gets `EIO`.
    pub fn data(self, data: &[u8]) {
        self.raw.data(&[], data);
    }
}

impl ReplyEntry {
    /// This entry: the kernel may use both the name and the attributes for `ttl` without asking
    /// again, and counts one lookup of the inode.
    pub fn entry(self, ttl: &Duration, attr: &FileAttr, generation: Generation) {
        self.entry_with_ttls(ttl, ttl, attr, generation);
    }

    /// As [`entry`](Self::entry), with a time for the attributes and one for the name.
    pub fn entry_with_ttls(
        self,
        attr_ttl: &Duration,
        entry_ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
    ) {
        let entry = answer::entry(entry_ttl, attr_ttl, attr, generation);
        self.raw.entry(attr.ino, entry.as_bytes());
    }

    /// There is no such entry, and the kernel may say so by itself for `ttl`.
    ///
    /// Only for `lookup`. `ENOENT` says the same, and is asked again each time.
    pub fn negative(self, ttl: &Duration) {
        self.raw.ok(answer::negative_entry(ttl).as_bytes());
    }
}

impl ReplyAttr {
    /// These attributes: the kernel may use them for `ttl` without asking again.
    pub fn attr(self, ttl: &Duration, attr: &FileAttr) {
        self.raw.ok(answer::attr(ttl, attr).as_bytes());
    }
}

impl ReplyStatx {
    /// These attributes: the kernel may use them for `ttl` without asking again.
    pub fn statx(self, ttl: &Duration, statx: &StatxAttr) {
        self.raw.ok(answer::statx(ttl, statx).as_bytes());
    }
}

impl ReplyOpen {
    /// It is open: later operations name it by `fh`.
    pub fn opened(self, fh: FileHandle, flags: FopenFlags) {
        self.raw.opened(fh, flags, None);
    }

    /// Registers a file for the kernel to read and write by itself; see [`BackingId`].
    pub fn open_backing(&self, fd: impl AsFd) -> io::Result<BackingId> {
        open_backing(&self.raw, fd)
    }

    /// Takes over a number made by [`BackingId::create_raw`].
    ///
    /// # Safety
    ///
    /// The number belongs to this connection, and nobody else gives it back.
    #[allow(unsafe_code)]
    pub unsafe fn wrap_backing(&self, id: u32) -> BackingId {
        wrap_backing(&self.raw, id)
    }

    /// It is open, and the kernel reads and writes `backing_id` by itself.
    ///
    /// Takes `FUSE_PASSTHROUGH` and a stack depth of at least 1, negotiated in `init`.
    pub fn opened_passthrough(self, fh: FileHandle, flags: FopenFlags, backing_id: &BackingId) {
        self.raw.opened(fh, flags, Some(backing_id.id()));
    }
}

impl ReplyCreate {
    /// This file was created and is open.
    pub fn created(
        self,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
        fh: FileHandle,
        flags: FopenFlags,
    ) {
        self.raw.created([ttl, ttl], attr, generation, fh, flags, None);
    }

    /// Registers a file for the kernel to read and write by itself; see [`BackingId`].
    pub fn open_backing(&self, fd: impl AsFd) -> io::Result<BackingId> {
        open_backing(&self.raw, fd)
    }

    /// Takes over a number made by [`BackingId::create_raw`].
    ///
    /// # Safety
    ///
    /// The number belongs to this connection, and nobody else gives it back.
    #[allow(unsafe_code)]
    pub unsafe fn wrap_backing(&self, id: u32) -> BackingId {
        wrap_backing(&self.raw, id)
    }

    /// As [`created`](Self::created), and the kernel reads and writes `backing_id` by itself.
    pub fn created_passthrough(
        self,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
        fh: FileHandle,
        flags: FopenFlags,
        backing_id: &BackingId,
    ) {
        let backing = Some(backing_id.id());
        self.raw.created([ttl, ttl], attr, generation, fh, flags, backing);
    }
}

impl ReplyWrite {
    /// So many bytes were written. More than were sent are an `EIO` to the caller.
    pub fn written(self, size: u32) {
        self.copied(size.into());
    }

    /// So many bytes were copied, where that may be more than `written` can say.
    pub fn copied(self, bytes: u64) {
        self.raw.written(bytes);
    }
}

impl ReplyStatfs {
    /// Sizes in blocks of `frsize` bytes (of `bsize`, where that is 0), and numbers of inodes.
    #[allow(clippy::too_many_arguments, reason = "the fields of struct statvfs")]
    pub fn statfs(
        self,
        blocks: u64,
        bfree: u64,
        bavail: u64,
        files: u64,
        ffree: u64,
        bsize: u32,
        namelen: u32,
        frsize: u32,
    ) {
        let statfs = answer::statfs(blocks, bfree, bavail, files, ffree, bsize, namelen, frsize);
        self.raw.ok(statfs.as_bytes());
    }
}

impl ReplyLock {
    /// The lock that stands in the way; of type `F_UNLCK` if none does.
    pub fn locked(self, start: u64, end: u64, typ: i32, pid: u32) {
        self.raw.ok(answer::lock(start, end, typ, pid).as_bytes());
    }
}

impl ReplyBmap {
    /// The block on the device.
    pub fn bmap(self, block: u64) {
        self.raw.ok(answer::block(block).as_bytes());
    }
}

impl ReplyIoctl {
    /// What `ioctl(2)` returns, and the data it passes out.
    pub fn ioctl(self, result: i32, data: &[u8]) {
        self.raw.data(answer::ioctl(result).as_bytes(), data);
    }
}

impl ReplyPoll {
    /// What the file is ready for now.
    pub fn poll(self, revents: PollEvents) {
        self.raw.ok(answer::poll(revents).as_bytes());
    }
}

impl ReplyXattr {
    /// How large the value is: the answer to a caller with no room, who asks for just that.
    pub fn size(self, size: u32) {
        self.raw.xattr_size(size);
    }

    /// The value, or the names with a zero after each. `ERANGE` if it is more than there is room
    /// for; its size if the caller asked for just that.
    pub fn data(self, data: &[u8]) {
        self.raw.xattr(data);
    }
}

impl ReplyLseek {
    /// Where the file is positioned now.
    pub fn offset(self, offset: i64) {
        self.raw.ok(answer::offset(offset).as_bytes());
    }
}

/// Answers `readdir`: entries are added until there is no room, then sent.
#[derive(Debug)]
pub struct ReplyDirectory {
    raw: Raw,
    entries: Dirents,
}

impl ReplyDirectory {
    pub(crate) fn new(raw: Raw) -> Self {
        let entries = Dirents::new(spare::take(), raw.room() as usize);
        Self { raw, entries }
    }

    /// Adds an entry. True if there was no room for it: send what there is, and begin with this
    /// entry when the kernel asks for more.
    ///
    /// `offset` is what the kernel passes back to go on after this entry: any number but 0 that
    /// still finds its place when the directory has changed.
    #[must_use]
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        kind: FileType,
        name: T,
    ) -> bool {
        self.entries.add(ino, offset, kind, name.as_ref().as_bytes())
    }

    /// How many bytes of packed entries there is still room for. An entry takes 24 bytes and its
    /// name, rounded up to a multiple of 8.
    pub fn remaining_capacity(&self) -> usize {
        self.entries.remaining()
    }

    /// Sends what was added. Nothing added means the end of the directory.
    pub fn ok(self) {
        self.raw.ok(self.entries.as_bytes());
        spare::give(self.entries.into_buffer());
    }

    /// Refuses: the caller's system call fails with `err`.
    pub fn error(self, err: Errno) {
        self.raw.error(err);
        spare::give(self.entries.into_buffer());
    }
}

/// Answers `readdirplus`: entries with attributes are added until there is no room, then sent.
#[derive(Debug)]
pub struct ReplyDirectoryPlus {
    raw: Raw,
    entries: Dirents,
}

impl ReplyDirectoryPlus {
    pub(crate) fn new(raw: Raw) -> Self {
        let entries = Dirents::new(spare::take(), raw.room() as usize);
        Self { raw, entries }
    }

    /// Adds an entry, as [`ReplyDirectory::add`] does. The kernel counts one lookup of its inode,
    /// but for `.` and `..`.
    pub fn add<T: AsRef<OsStr>>(
        &mut self,
        ino: INodeNo,
        offset: u64,
        name: T,
        ttl: &Duration,
        attr: &FileAttr,
        generation: Generation,
    ) -> bool {
        let entry = answer::entry(ttl, ttl, attr, generation);
        self.entries.add_plus(ino, offset, attr.kind, name.as_ref().as_bytes(), &entry)
    }

    /// How many bytes of packed entries there is still room for. An entry takes 152 bytes and its
    /// name, rounded up to a multiple of 8.
    pub fn remaining_capacity(&self) -> usize {
        self.entries.remaining()
    }

    /// Sends what was added. Nothing added means the end of the directory.
    pub fn ok(self) {
        self.raw.listing_plus(self.entries.as_bytes());
        spare::give(self.entries.into_buffer());
    }

    /// Refuses: the caller's system call fails with `err`.
    pub fn error(self, err: Errno) {
        self.raw.error(err);
        spare::give(self.entries.into_buffer());
    }
}

/// Answers `getxtimes` (macOS).
#[cfg(target_os = "macos")]
#[derive(Debug)]
pub struct ReplyXTimes {
    raw: Raw,
}

#[cfg(target_os = "macos")]
impl ReplyXTimes {
    pub(crate) fn new(raw: Raw) -> Self {
        Self { raw }
    }

    /// The times of backup and of creation.
    pub fn xtimes(self, bkuptime: std::time::SystemTime, crtime: std::time::SystemTime) {
        self.raw.ok(answer::xtimes(bkuptime, crtime).as_bytes());
    }

    /// Refuses: the caller's system call fails with `err`.
    pub fn error(self, err: Errno) {
        self.raw.error(err);
    }
}

/// Each answer's reply, under the name the table of operations has for the answer.
pub(crate) mod of {
    #[cfg(target_os = "macos")]
    pub(crate) use super::ReplyXTimes as XTimes;
    pub(crate) use super::{
        ReplyAttr as Attr, ReplyBmap as Block, ReplyCreate as Created, ReplyData as Data,
        ReplyDirectory as Listing, ReplyDirectoryPlus as ListingPlus, ReplyEmpty as Empty,
        ReplyEntry as Entry, ReplyIoctl as Ioctl, ReplyLock as Lock, ReplyLseek as Offset,
        ReplyOpen as Opened, ReplyPoll as Poll, ReplyStatfs as Statfs, ReplyStatx as Statx,
        ReplyWrite as Written, ReplyXattr as Xattr,
    };
}

fn open_backing(raw: &Raw, fd: impl AsFd) -> io::Result<BackingId> {
    BackingId::open(port(raw), fd.as_fd())
}

fn wrap_backing(raw: &Raw, id: u32) -> BackingId {
    BackingId::wrap(port(raw), id)
}

fn port(raw: &Raw) -> &Arc<Port> {
    raw.port().expect("a reply has its port until it is used up")
}
