use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, #[cfg(unix)] parent: u64) -> Result<(), Errno> {
        let _ = parent;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
