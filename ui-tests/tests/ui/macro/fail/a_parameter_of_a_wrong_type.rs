use std::ffi::OsStr;

use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lookup(&self, parent: &OsStr) -> Result<FileAttr, Errno> {
        let _ = parent;
        Err(Errno::ENOENT)
    }
}

fn main() {}
