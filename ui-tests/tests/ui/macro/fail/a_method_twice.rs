use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOSYS)
    }

    async fn read(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
