use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self) -> Result<usize, Errno> {
        Ok(0)
    }
}

fn main() {}
