use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

#[fuse_filesystem]
impl Files {
    async fn rmdir(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
