use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn init(self) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
