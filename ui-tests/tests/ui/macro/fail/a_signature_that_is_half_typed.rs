use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lookup(&self, name: ) -> Result<FileAttr, Errno> {
        Err(Errno::ENOENT)
    }

    async fn getattr(&self, inode: u64) -> Result<FileAttr, Errno> {
        let _ = inode;
        Err(Errno::ENOENT)
    }
}

fn main() {}
