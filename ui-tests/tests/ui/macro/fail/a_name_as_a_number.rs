use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, name: u64) -> Result<(), Errno> {
        let _ = name;
        Err(Errno::ENOENT)
    }
}

fn main() {}
