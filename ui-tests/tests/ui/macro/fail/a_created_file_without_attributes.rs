use async_fuser::{Errno, FileHandle, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn create(&self) -> Result<FileHandle, Errno> {
        Ok(FileHandle(1))
    }
}

fn main() {}
