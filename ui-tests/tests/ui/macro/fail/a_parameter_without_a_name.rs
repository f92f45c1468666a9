use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, _: u64) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
