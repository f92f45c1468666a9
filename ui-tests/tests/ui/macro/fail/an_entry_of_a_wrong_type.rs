use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lookup(&self) -> Result<u64, Errno> {
        Ok(1)
    }
}

fn main() {}
