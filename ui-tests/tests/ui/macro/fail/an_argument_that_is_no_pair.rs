use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem("1s")]
impl Files {
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
