use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn poll(&self) -> Result<bool, Errno> {
        Ok(true)
    }
}

fn main() {}
