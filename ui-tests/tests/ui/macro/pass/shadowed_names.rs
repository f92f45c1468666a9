//! Every name that generated code might use means something else here.

#![allow(dead_code, unused_macros)]

use async_fuser::{DirEntry, Errno as Errno_, FileAttr, fuse_filesystem};

mod core {}
mod std {}
mod alloc {}
struct Result;
struct Option;
struct Ok;
struct Err;
struct Some;
struct None;
trait Send {}
trait Sync {}
trait Future {}
trait Iterator {}
struct Operations;
struct AsyncFilesystem;
struct Request;
struct KernelConfig;
struct Entry;
struct Errno;
struct Duration;
macro_rules! vec { () => {}; }

struct Files;

#[fuse_filesystem(ttl = "1s")]
impl Files {
    fn init(&mut self) -> ::std::io::Result<()> {
        ::std::io::Result::Ok(())
    }

    fn destroy(&mut self) {}

    async fn lookup(&self, name: &str) -> ::std::result::Result<FileAttr, Errno_> {
        let _ = name;
        ::std::result::Result::Err(Errno_::ENOENT)
    }

    fn forget(&self, ino: u64) {
        let _ = ino;
    }

    #[cfg(all())]
    async fn read(&self, buf: &mut [u8]) -> ::std::io::Result<usize> {
        ::std::io::Result::Ok(buf.len())
    }

    async fn readdir(&self) -> ::std::io::Result<::std::vec::Vec<DirEntry>> {
        ::std::io::Result::Ok(::std::vec::Vec::new())
    }
}

fn main() {}
