//! The filesystem on fuse3's inode API, in the form that awaits the device. It always takes
//! READDIRPLUS when the kernel offers it, so that a listing looks up every entry.

use std::ffi::OsStr;
use std::io;
use std::num::NonZeroU32;

use ::fuse3::raw::prelude::{
    DirectoryEntry, DirectoryEntryPlus, FileAttr, FileType, Filesystem, ReplyAttr, ReplyCreated,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEntry, ReplyInit, ReplyOpen, ReplyWrite,
    Request, Session,
};
use ::fuse3::{MountOptions, Result, Timestamp};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use nix::errno::Errno;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::Place;
use crate::tree::{self, DELAY, MAX_WRITE, PERM, TTL, Tree};

pub(crate) fn serve(place: &Place, runtime: &Runtime) -> io::Result<()> {
    runtime.block_on(async {
        let mut options = MountOptions::default();
        options.fs_name("benches");
        let served = Served { tree: Tree::new(), content: tree::content().into() };
        Session::new(options).mount_with_unprivileged(served, &place.mountpoint).await?.await
    })
}

const FOPEN_DIRECT_IO: u32 = 1;

struct Served {
    tree: Tree,
    content: Bytes,
}

impl Filesystem for Served {
    async fn init(&self, _: Request) -> Result<ReplyInit> {
        Ok(ReplyInit::new(NonZeroU32::new(MAX_WRITE).expect("not zero")))
    }

    async fn destroy(&self, _: Request) {}

    async fn lookup(&self, _: Request, parent: u64, name: &OsStr) -> Result<ReplyEntry> {
        let ino = self.tree.child(parent, name).ok_or(Errno::ENOENT as i32)?;
        Ok(ReplyEntry { ttl: TTL, attr: attr(ino), generation: 0 })
    }

    async fn getattr(&self, _: Request, ino: u64, _: Option<u64>, _: u32) -> Result<ReplyAttr> {
        Ok(ReplyAttr { ttl: TTL, attr: attr(ino) })
    }

    async fn unlink(&self, _: Request, parent: u64, name: &OsStr) -> Result<()> {
        if self.tree.remove(parent, name) { Ok(()) } else { Err((Errno::ENOENT as i32).into()) }
    }

    async fn open(&self, _: Request, ino: u64, _: u32) -> Result<ReplyOpen> {
        Ok(ReplyOpen { fh: ino, flags: FOPEN_DIRECT_IO })
    }

    async fn read(
        &self,
        _: Request,
        ino: u64,
        _: u64,
        offset: u64,
        size: u32,
    ) -> Result<ReplyData> {
        if tree::is_slow(ino) {
            sleep(DELAY).await;
        }
        Ok(self.content.slice(tree::range(offset, size)).into())
    }

    async fn write(
        &self,
        _: Request,
        _: u64,
        _: u64,
        _: u64,
        data: &[u8],
        _: u32,
        _: u32,
    ) -> Result<ReplyWrite> {
        Ok(ReplyWrite { written: data.len() as u32 })
    }

    async fn flush(&self, _: Request, _: u64, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    async fn release(&self, _: Request, _: u64, _: u64, _: u32, _: u64, _: bool) -> Result<()> {
        Ok(())
    }

    async fn opendir(&self, _: Request, _: u64, _: u32) -> Result<ReplyOpen> {
        Ok(ReplyOpen { fh: 0, flags: 0 })
    }

    async fn readdir<'a>(
        &'a self,
        _: Request,
        _: u64,
        _: u64,
        offset: i64,
    ) -> Result<ReplyDirectory<impl Stream<Item = Result<DirectoryEntry>> + Send + 'a>> {
        let entries = self.tree.entries(offset as u64).map(|(name, inode, next)| {
            let (kind, name, offset) = (FileType::RegularFile, name.into(), next as i64);
            Ok(DirectoryEntry { inode, kind, name, offset })
        });
        Ok(ReplyDirectory { entries: stream::iter(entries) })
    }

    async fn readdirplus<'a>(
        &'a self,
        _: Request,
        _: u64,
        _: u64,
        offset: u64,
        _: u64,
    ) -> Result<ReplyDirectoryPlus<impl Stream<Item = Result<DirectoryEntryPlus>> + Send + 'a>>
    {
        let entries = self.tree.entries(offset).map(|(name, inode, next)| {
            Ok(DirectoryEntryPlus {
                inode,
                generation: 0,
                kind: FileType::RegularFile,
                name: name.into(),
                offset: next as i64,
                attr: attr(inode),
                entry_ttl: TTL,
                attr_ttl: TTL,
            })
        });
        Ok(ReplyDirectoryPlus { entries: stream::iter(entries) })
    }

    async fn create(
        &self,
        _: Request,
        parent: u64,
        name: &OsStr,
        _: u32,
        _: u32,
    ) -> Result<ReplyCreated> {
        let ino = self.tree.create(parent, name).ok_or(Errno::EACCES as i32)?;
        let (fh, flags) = (ino, FOPEN_DIRECT_IO);
        Ok(ReplyCreated { ttl: TTL, attr: attr(ino), generation: 0, fh, flags })
    }
}

fn attr(ino: u64) -> FileAttr {
    let epoch = Timestamp::new(0, 0);
    FileAttr {
        ino,
        size: tree::size(ino),
        blocks: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        kind: if tree::is_directory(ino) { FileType::Directory } else { FileType::RegularFile },
        perm: PERM,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
    }
}
