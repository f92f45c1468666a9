use std::fs::Metadata;

use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self) -> Result<Metadata, Errno> {
        Err(Errno::ENOENT)
    }
}

fn main() {}
