use async_fuser::{FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self) -> FileAttr {
        unimplemented!()
    }
}

fn main() {}
