use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, caller: u32) -> Result<(), Errno> {
        let _ = caller;
        Err(Errno::ENOENT)
    }
}

fn main() {}
