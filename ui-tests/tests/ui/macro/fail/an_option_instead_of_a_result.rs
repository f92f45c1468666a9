use async_fuser::{FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self) -> Option<FileAttr> {
        None
    }
}

fn main() {}
