use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    #[fuse(skip, op = "unlink")]
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
