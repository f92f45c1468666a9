use async_fuser::{Errno, fuse_filesystem};

struct Files;

const SECOND: u64 = 1;

#[fuse_filesystem(ttl = SECOND)]
impl Files {
    async fn getattr(&self) -> Result<async_fuser::FileAttr, Errno> {
        Err(Errno::ENOENT)
    }
}

fn main() {}
