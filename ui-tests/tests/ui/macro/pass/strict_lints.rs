//! A crate that allows its author nothing.

#![forbid(unsafe_code)]
#![deny(missing_docs, warnings, unused_qualifications, rust_2018_idioms)]
#![deny(elided_lifetimes_in_paths, single_use_lifetimes, trivial_casts, let_underscore_drop)]
#![deny(clippy::pedantic, clippy::nursery, clippy::all)]
#![allow(clippy::missing_const_for_fn, reason = "`main` could be one")]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use async_fuser::lib_async::Listing;
use async_fuser::{Caller, DirEntry, Errno, FileAttr, FileHandle, FileType, INodeNo, KernelConfig};

/// Files by their names.
pub struct Files {
    names: HashMap<OsString, FileAttr>,
}

#[async_fuser::fuse_filesystem(ttl = "1s")]
impl Files {
    /// Begins.
    fn init(&mut self, config: &mut KernelConfig) -> Result<(), Errno> {
        self.names.clear();
        config.set_max_write(4096).map(|_| ()).map_err(|_| Errno::EINVAL)
    }

    /// Ends.
    fn destroy(&mut self) {
        self.names.clear();
    }

    fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<Option<FileAttr>, Errno> {
        if parent == INodeNo::ROOT {
            Ok(self.names.get(name).copied())
        } else {
            Err(Errno::ENOTDIR)
        }
    }

    fn forget(&self, ino: u64) {
        assert!(ino != 0 || self.names.is_empty());
    }

    async fn read(&self, ino: INodeNo, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        std::future::ready(()).await;
        buf.fill(0);
        if ino.0 == offset { Err(Errno::EISDIR) } else { Ok(buf.len().min(self.names.len())) }
    }

    fn open(&self, caller: Caller) -> Result<FileHandle, Errno> {
        if self.names.is_empty() { Err(Errno::EACCES) } else { Ok(FileHandle(caller.uid.into())) }
    }

    fn readdir(&self) -> Result<impl Iterator<Item = DirEntry>, Errno> {
        if self.names.is_empty() {
            return Err(Errno::ENOENT);
        }
        Ok(self.names.iter().map(|(name, attr)| DirEntry::with_attr(name, *attr)))
    }

    #[cfg(unix)]
    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        if self.names.contains_key(name) { Err(Errno::EROFS) } else { Err(Errno::ENOENT) }
    }
}

/// Keeps its own offsets.
pub struct Numbered(u64);

#[async_fuser::fuse_filesystem]
impl Numbered {
    fn readdir(&self, offset: u64, listing: &mut Listing) -> Result<(), Errno> {
        if offset > self.0 {
            return Err(Errno::EINVAL);
        }
        for at in offset..self.0 {
            if listing.add(INodeNo(at + 2), at + 1, FileType::RegularFile, format!("{at}")) {
                break;
            }
        }
        Ok(())
    }
}

fn main() {}
