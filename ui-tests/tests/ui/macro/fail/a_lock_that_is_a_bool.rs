use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getlk(&self) -> Result<bool, Errno> {
        Ok(false)
    }

    async fn setlk(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
