use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self, fh: u64) -> Result<FileAttr, Errno> {
        let _ = fh;
        Err(Errno::ENOENT)
    }
}

fn main() {}
