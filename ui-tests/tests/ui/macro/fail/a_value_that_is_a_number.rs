use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getxattr(&self) -> Result<u32, Errno> {
        Ok(0)
    }
}

fn main() {}
