use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self, buf: &mut Vec<u8>) -> Result<usize, Errno> {
        Ok(buf.len())
    }
}

fn main() {}
