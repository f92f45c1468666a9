use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn listxattr(&self) -> Result<Vec<u32>, Errno> {
        Ok(Vec::new())
    }
}

fn main() {}
