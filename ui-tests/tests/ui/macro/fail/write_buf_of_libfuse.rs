use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn write_buf(&self) -> Result<usize, Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
