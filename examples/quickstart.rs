//! The least that a filesystem is: a directory with one file.
//!
//! Each method names what it wants to know of the request, and returns what it has: the attribute
//! makes an `AsyncFilesystem` of it. `read` asks for no part of the file, so it returns all of it.

use std::process::ExitCode;

use async_fuser::lib_async::Result;
use async_fuser::{DirEntry, FileAttr, FileType, INodeNo, fuse_filesystem};
use examples::cli::Example;

const ROOT: FileAttr = FileAttr::new(INodeNo::ROOT, FileType::Directory, 0o755);
const FILE: FileAttr = FileAttr::new(INodeNo(2), FileType::RegularFile, 0o644).with_size(7);

struct Hello;

#[fuse_filesystem]
impl Hello {
    async fn lookup(&self, name: &str) -> Result<Option<FileAttr>> {
        Ok((name == "hello").then_some(FILE))
    }

    async fn getattr(&self, ino: INodeNo) -> Result<FileAttr> {
        Ok(if ino == INodeNo::ROOT { ROOT } else { FILE })
    }

    async fn read(&self) -> Result<&str> {
        Ok("Hello!\n")
    }

    async fn readdir(&self) -> Result<[DirEntry; 1]> {
        Ok([DirEntry::with_attr("hello", FILE)])
    }
}

fn main() -> ExitCode {
    Example { name: "quickstart", try_it: &["cat {}/hello"] }.main("Directory with one file", Hello)
}
