use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn readlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
