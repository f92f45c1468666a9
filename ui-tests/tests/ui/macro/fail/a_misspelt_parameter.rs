use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self, ofset: u64) -> Result<Vec<u8>, Errno> {
        let _ = ofset;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
