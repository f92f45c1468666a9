use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    #[fuse()]
    async fn unlink(&self) -> Result<(), Errno> {
        Ok(())
    }
}

fn main() {}
