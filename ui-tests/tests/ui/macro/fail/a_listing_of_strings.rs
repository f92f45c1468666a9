use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn readdir(&self) -> Result<Vec<String>, Errno> {
        Ok(Vec::new())
    }
}

fn main() {}
