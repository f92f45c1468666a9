use async_fuser::{DirEntry, Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn readdir(&self, offset: u64) -> Result<Vec<DirEntry>, Errno> {
        let _ = offset;
        Ok(Vec::new())
    }
}

fn main() {}
