use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn write(&self, data: &mut [u8]) -> Result<usize, Errno> {
        Ok(data.len())
    }
}

fn main() {}
