use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self) -> Result<Vec<u16>, Errno> {
        Ok(Vec::new())
    }
}

fn main() {}
