//! The filesystem on async-fuser's raw asynchronous face.

use std::io;

use async_fuser::lib_async::{
    AsyncFilesystem, AsyncSessionBuilder, Attr, Created, Data, Entry, Listing, Opened, Result,
    Written,
};
use async_fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, KernelConfig, MountOption,
    Operations, Request, op,
};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::Place;
use crate::tree::{self, DELAY, MAX_WRITE, PERM, TTL, Tree};

pub(crate) fn serve(place: &Place, runtime: &Runtime, blocking: bool) -> io::Result<()> {
    let served = Served { tree: Tree::new(), content: tree::content() };
    runtime.block_on(async {
        let builder = AsyncSessionBuilder::new(served).config(&config()).blocking_reader(blocking);
        builder.mount(&place.mountpoint).await?.run().await
    })
}

pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("benches".to_owned())];
    config
}

struct Served {
    tree: Tree,
    content: Vec<u8>,
}

impl AsyncFilesystem for Served {
    const OPERATIONS: Operations = Operations::of(&[
        "lookup",
        "getattr",
        "unlink",
        "open",
        "read",
        "write",
        "flush",
        "release",
        "opendir",
        "readdir",
        "releasedir",
        "create",
    ]);

    async fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config.set_max_write(MAX_WRITE).map(drop).or(Ok(()))
    }

    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        let ino = self.tree.child(op.parent.0, op.name).ok_or(Errno::ENOENT)?;
        Ok(Entry::new(attr(ino), TTL))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino.0), TTL))
    }

    async fn unlink(&self, op: op::Unlink<'_>) -> Result<()> {
        if self.tree.remove(op.parent.0, op.name) { Ok(()) } else { Err(Errno::ENOENT) }
    }

    async fn open(&self, op: op::Open<'_>) -> Result<Opened> {
        Ok(Opened::new(FileHandle(op.ino.0)).with_flags(FopenFlags::FOPEN_DIRECT_IO))
    }

    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        if tree::is_slow(op.ino.0) {
            sleep(DELAY).await;
        }
        Ok(Data::from(&self.content[tree::range(op.offset, op.size)]))
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        Ok(Written(op.data.len() as u64))
    }

    async fn flush(&self, _: op::Flush<'_>) -> Result<()> {
        Ok(())
    }

    async fn release(&self, _: op::Release<'_>) -> Result<()> {
        Ok(())
    }

    async fn opendir(&self, _: op::Opendir<'_>) -> Result<Opened> {
        Ok(Opened::new(FileHandle(0)))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        for (name, ino, next) in self.tree.entries(op.offset) {
            if listing.add(INodeNo(ino), next, FileType::RegularFile, name) {
                break;
            }
        }
        Ok(listing)
    }

    async fn releasedir(&self, _: op::Releasedir<'_>) -> Result<()> {
        Ok(())
    }

    async fn create(&self, op: op::Create<'_>) -> Result<Created> {
        let ino = self.tree.create(op.parent.0, op.name).ok_or(Errno::EACCES)?;
        let opened = Opened::new(FileHandle(ino)).with_flags(FopenFlags::FOPEN_DIRECT_IO);
        Ok(Created::new(attr(ino), TTL, opened))
    }
}

pub(super) fn attr(ino: u64) -> FileAttr {
    let kind = if tree::is_directory(ino) { FileType::Directory } else { FileType::RegularFile };
    FileAttr { size: tree::size(ino), ..FileAttr::new(INodeNo(ino), kind, PERM) }
}
