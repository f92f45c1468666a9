use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn statx(&self) -> Result<FileAttr, Errno> {
        Err(Errno::ENOENT)
    }
}

fn main() {}
