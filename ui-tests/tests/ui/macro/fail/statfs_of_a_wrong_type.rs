use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn statfs(&self) -> Result<u64, Errno> {
        Ok(0)
    }
}

fn main() {}
