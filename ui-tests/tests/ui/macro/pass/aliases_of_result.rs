//! A `Result` is one under any name.

use std::io;

use async_fuser::{Errno, FileAttr, fuse_filesystem};

type Fallible<T> = Result<T, Errno>;
type Attributes = Fallible<FileAttr>;

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self) -> Attributes {
        Err(Errno::ENOENT)
    }

    async fn read(&self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    async fn write(&self) -> nix::Result<usize> {
        Err(nix::errno::Errno::ENOSPC)
    }

    fn unlink(&self) -> Fallible<()> {
        Ok(())
    }

    fn rmdir(&self) -> async_fuser::lib_async::Result<()> {
        Ok(())
    }

    fn mkdir(&self) -> std::result::Result<FileAttr, io::ErrorKind> {
        Err(io::ErrorKind::ReadOnlyFilesystem)
    }
}

fn main() {}
