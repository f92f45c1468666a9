use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self, offset: u64, _offset: u64) -> Result<Vec<u8>, Errno> {
        let _ = offset;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
