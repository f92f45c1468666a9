//! Nothing is in scope but what the program names.

#![no_implicit_prelude]

use ::async_fuser::lib_async::{Listing, Lock};
use ::async_fuser::{DirEntry, Errno, FileAttr, KernelConfig, fuse_filesystem};
use ::std::option::Option;
use ::std::result::Result;
use ::std::string::String;
use ::std::vec::Vec;

struct Files;

#[fuse_filesystem(ttl = "1s", negative_ttl = "5s")]
impl Files {
    async fn init(&mut self, config: &mut KernelConfig) -> Result<(), Errno> {
        let _ = config;
        Result::Ok(())
    }

    fn destroy(&mut self) {}

    async fn lookup(&self, name: &str) -> Result<Option<FileAttr>, Errno> {
        let _ = name;
        Result::Ok(Option::None)
    }

    fn forget(&self, ino: u64) {
        let _ = ino;
    }

    async fn read(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        Result::Ok(buf.len())
    }

    fn readlink(&self) -> Result<String, Errno> {
        Result::Ok(String::new())
    }

    async fn readdir(&self) -> Result<Vec<DirEntry>, Errno> {
        Result::Ok(Vec::new())
    }

    #[cfg(all())]
    fn getlk(&self) -> Result<Option<Lock>, Errno> {
        Result::Ok(Option::None)
    }

    fn setlk(&self) -> Result<(), Errno> {
        Result::Ok(())
    }
}

struct Sinking;

#[fuse_filesystem]
impl Sinking {
    fn readdir(&self, listing: &mut Listing) -> Result<(), Errno> {
        let _ = listing;
        Result::Ok(())
    }
}

fn main() {}
