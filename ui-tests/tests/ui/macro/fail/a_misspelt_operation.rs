use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lokup(&self) -> Result<FileAttr, Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
