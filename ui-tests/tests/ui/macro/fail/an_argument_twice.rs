use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem(ttl = "1s", ttl = "2s")]
impl Files {
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
