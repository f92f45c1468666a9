use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self, buf: &mut [u8]) -> Result<Vec<u8>, Errno> {
        Ok(buf.to_vec())
    }
}

fn main() {}
