//! Everything that the tables of the contract accept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_fuser::lib_async::{
    Attr, Block, Created, Data, Entry, Ioctl, Lock, Offset, Opened, Poll, ReadBuffer, Result,
    Statfs, Statx, Written, Xattr,
};
use async_fuser::{
    BackingId, DirEntry, Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, PollEvents,
    StatxAttr, fuse_filesystem,
};
use bytes::Bytes;

/// A filesystem for each answer of an operation.
macro_rules! answers {
    ($($operation:ident: $($answer:ty),+;)*) => { $($(
        const _: () = {
            struct Files;

            #[fuse_filesystem]
            impl Files {
                async fn $operation(&self) -> Result<$answer> {
                    Err(Errno::ENOSYS)
                }
            }
        };
    )+)* };
}

answers! {
    lookup: FileAttr, (FileAttr, Duration), Option<FileAttr>, Option<(FileAttr, Duration)>, Entry;
    mkdir: FileAttr, (FileAttr, Duration), Entry;
    mknod: FileAttr, (FileAttr, Duration), Entry;
    symlink: FileAttr, (FileAttr, Duration), Entry;
    link: FileAttr, (FileAttr, Duration), Entry;
    getattr: FileAttr, (FileAttr, Duration), Attr;
    setattr: FileAttr, (FileAttr, Duration), Attr;
    readlink: PathBuf, OsString, String, Vec<u8>, &Path, &OsStr, &str, &[u8], &'static str, Data;
    read: Vec<u8>, Bytes, Arc<[u8]>, Box<[u8]>, &[u8], &str, String, Cow<'_, [u8]>, Data<'_>,
        ReadBuffer, (File, Range<u64>), (OwnedFd, Range<u64>), (Arc<OwnedFd>, Range<u64>),
        (BorrowedFd<'_>, Range<u64>);
    write: usize, u32, u64, Written;
    copy_file_range: usize, u32, u64, Written;
    open: FileHandle, u64, (), (FileHandle, FopenFlags), (u64, FopenFlags), Opened,
        (FileHandle, &BackingId), (FileHandle, Arc<BackingId>);
    opendir: FileHandle, u64, (), (FileHandle, FopenFlags), Opened;
    create: (FileAttr, FileHandle), (FileAttr, u64), (FileAttr, FileHandle, FopenFlags),
        (FileAttr, Duration, FileHandle), (FileAttr, Opened), FileAttr, Created;
    tmpfile: (FileAttr, FileHandle), (FileAttr, Opened), FileAttr, Created;
    readdir: Vec<DirEntry>, [DirEntry; 2], Option<DirEntry>, Vec<(INodeNo, FileType, &str)>,
        Vec<(u64, FileType, String)>, Vec<(OsString, FileAttr)>, &[DirEntry],
        BTreeMap<OsString, FileAttr>, Vec<io::Result<DirEntry>>,
        Box<dyn Iterator<Item = DirEntry> + '_>;
    readdirplus: Vec<DirEntry>, io::Result<DirEntry>;
    getxattr: Vec<u8>, Bytes, &[u8], &str, Option<Vec<u8>>, Option<&[u8]>, Xattr<'_>;
    listxattr: Vec<u8>, Vec<String>, Vec<&str>, [&OsStr; 2], Vec<OsString>, &[String], Xattr<'_>;
    statfs: Statfs, nix::sys::statvfs::Statvfs;
    bmap: u64, Block;
    ioctl: i32, (), Vec<u8>, (i32, Vec<u8>), Ioctl<'_>;
    poll: PollEvents, Poll;
    lseek: u64, i64, Offset;
    unlink: ();
    access: ();
    setlk: ();
}

struct Iterators;

#[fuse_filesystem]
impl Iterators {
    async fn readdir(&self) -> Result<impl Iterator<Item = io::Result<DirEntry>>> {
        Ok(std::iter::repeat_with(|| Err(io::ErrorKind::Other.into())).take(2))
    }

    fn readdirplus(&self) -> impl Future<Output = Result<impl Iterator<Item = DirEntry>>> + Send {
        async { Ok(std::iter::empty()) }
    }

    fn listxattr(&self) -> Result<impl Iterator<Item = String> + use<'_>> {
        Ok(std::iter::once("user.name".to_owned()))
    }
}

struct Pairs;

#[fuse_filesystem]
impl Pairs {
    fn statx(&self) -> Result<(StatxAttr, Duration)> {
        Err(Errno::ENOSYS)
    }

    fn getattr(&self) -> Result<FileAttr> {
        Err(Errno::ENOSYS)
    }

    fn getlk(&self) -> Result<Lock> {
        Err(Errno::ENOSYS)
    }

    fn setlk(&self) -> Result<()> {
        Err(Errno::ENOSYS)
    }

    fn forget(&self) {}

    fn batch_forget(&self) -> () {}

    fn read(&self, buf: &mut [u8]) -> Result<u32> {
        Ok(buf.len() as u32)
    }
}

struct Statxs;

#[fuse_filesystem]
impl Statxs {
    fn statx(&self) -> Result<Statx> {
        Err(Errno::ENOSYS)
    }

    fn getattr(&self) -> Result<FileAttr> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
