//! The filesystem on async-fuser's attribute macro.

use std::ffi::OsStr;
use std::io;

use async_fuser::lib_async::Listing;
use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, KernelConfig, fuse_filesystem,
    mount_async,
};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::Place;
use super::ours_async::{attr, config};
use crate::tree::{self, DELAY, MAX_WRITE, Tree};

pub(crate) fn serve(place: &Place, runtime: &Runtime) -> io::Result<()> {
    let served = Served { tree: Tree::new(), content: tree::content() };
    runtime.block_on(mount_async(served, &place.mountpoint, &config()))
}

struct Served {
    tree: Tree,
    content: Vec<u8>,
}

#[fuse_filesystem(ttl = "0s")]
impl Served {
    fn init(&mut self, config: &mut KernelConfig) -> io::Result<()> {
        config.set_max_write(MAX_WRITE).map(drop).or(Ok(()))
    }

    fn lookup(&self, parent: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        self.tree.child(parent, name).map(attr).ok_or(Errno::ENOENT)
    }

    fn getattr(&self, ino: u64) -> Result<FileAttr, Errno> {
        Ok(attr(ino))
    }

    fn unlink(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        if self.tree.remove(parent, name) { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn open(&self, ino: u64) -> Result<(FileHandle, FopenFlags), Errno> {
        Ok((FileHandle(ino), FopenFlags::FOPEN_DIRECT_IO))
    }

    async fn read(&self, ino: u64, offset: u64, size: u32) -> Result<&[u8], Errno> {
        if tree::is_slow(ino) {
            sleep(DELAY).await;
        }
        Ok(&self.content[tree::range(offset, size)])
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }

    fn flush(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn release(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn opendir(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn readdir(&self, offset: u64, listing: &mut Listing) -> Result<(), Errno> {
        for (name, ino, next) in self.tree.entries(offset) {
            if listing.add(INodeNo(ino), next, FileType::RegularFile, name) {
                break;
            }
        }
        Ok(())
    }

    fn releasedir(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn create(
        &self,
        parent: u64,
        name: &OsStr,
    ) -> Result<(FileAttr, FileHandle, FopenFlags), Errno> {
        let ino = self.tree.create(parent, name).ok_or(Errno::EACCES)?;
        Ok((attr(ino), FileHandle(ino), FopenFlags::FOPEN_DIRECT_IO))
    }
}
