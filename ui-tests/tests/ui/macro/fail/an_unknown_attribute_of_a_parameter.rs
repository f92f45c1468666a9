use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn read(&self, #[fuse(from = offset)] at: u64) -> Result<Vec<u8>, Errno> {
        let _ = at;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
