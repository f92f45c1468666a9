use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn write(&self, data: &[u8]) -> Result<Vec<u8>, Errno> {
        Ok(data.to_vec())
    }
}

fn main() {}
