use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getattr(&self) {
        
    }
}

fn main() {}
