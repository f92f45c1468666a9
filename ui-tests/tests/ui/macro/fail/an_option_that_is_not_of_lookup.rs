use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn mkdir(&self) -> Result<Option<FileAttr>, Errno> {
        Ok(None)
    }
}

fn main() {}
