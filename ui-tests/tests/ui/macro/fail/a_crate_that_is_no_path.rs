use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem(crate = 1 + 1)]
impl Files {
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
