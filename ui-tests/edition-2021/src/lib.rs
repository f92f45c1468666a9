//! Blocks in a crate of edition 2021.

#![forbid(unsafe_code)]
#![deny(warnings, rust_2018_idioms)]

use std::future::Future;
use std::io;

use async_fuser::lib_async::Listing;
use async_fuser::{Caller, DirEntry, Errno, FileAttr, FileType, INodeNo, fuse_filesystem};

/// A filesystem without a file.
#[derive(Debug, Default)]
pub struct Files<B> {
    backend: B,
}

#[fuse_filesystem(ttl = "500ms")]
impl<B: AsRef<str>> Files<B> {
    fn init(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn lookup(&self, parent: u64, name: &str) -> Result<Option<FileAttr>, Errno> {
        let is_there = parent == 1 && name == self.backend.as_ref();
        Ok(is_there.then(|| FileAttr::new(INodeNo(2), FileType::RegularFile, 0o644)))
    }

    fn forget(&self, _ino: u64) {}

    async fn read(&self, caller: Caller) -> Result<&str, Errno> {
        if caller.uid == 0 { Ok(self.backend.as_ref()) } else { Err(Errno::EACCES) }
    }

    fn unlink(&self) -> impl Future<Output = io::Result<()>> + Send {
        async { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    async fn readdir(&self) -> Result<Vec<DirEntry>, Errno> {
        Ok(vec![DirEntry::new(INodeNo(2), FileType::RegularFile, self.backend.as_ref())])
    }
}

/// A filesystem that keeps its own offsets.
#[derive(Debug)]
pub struct Numbered;

#[fuse_filesystem]
impl Numbered {
    #[cfg(unix)]
    fn readdir(&self, offset: u64, listing: &mut Listing) -> Result<(), Errno> {
        if offset == 0 {
            let _is_full = listing.add(INodeNo(2), 1, FileType::RegularFile, "one");
        }
        Ok(())
    }

    async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(0);
        Ok(buf.len())
    }
}

#[cfg(test)]
mod tests {
    use async_fuser::AsyncFilesystem;

    use super::*;

    #[test]
    fn a_block_implements_what_is_in_it() {
        let names: Vec<_> = <Files<String> as AsyncFilesystem>::OPERATIONS.names().collect();
        let expected =
            ["lookup", "forget", "batch_forget", "unlink", "read", "readdir", "readdirplus"];
        assert_eq!(names, expected);
        assert_eq!(Numbered::OPERATIONS.names().collect::<Vec<_>>(), ["read", "readdir"]);
    }
}
