//! The program that the contract begins with.

use std::ffi::OsStr;
use std::io;

use async_fuser::{DirEntry, Errno, FileAttr, FileType, INodeNo, fuse_filesystem};

struct Hello;

#[fuse_filesystem]
impl Hello {
    async fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let _ = (parent, name);
        Err(Errno::ENOENT)
    }

    async fn getattr(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        let _ = ino;
        Err(Errno::ENOENT)
    }

    async fn read(&self, ino: u64, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let _ = (ino, offset, size);
        Ok(Vec::new())
    }

    async fn readdir(&self, ino: INodeNo) -> Result<Vec<DirEntry>, Errno> {
        Ok(vec![DirEntry::new(ino, FileType::Directory, ".")])
    }
}

fn main() {
    let config = Default::default();
    let _mounted = async_fuser::mount_async(Hello, "/mnt/hello", &config);
}
