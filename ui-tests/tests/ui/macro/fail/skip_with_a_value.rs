use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    #[fuse(skip = true)]
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
