use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    #[fuse(op = "raed")]
    async fn take(&self) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
