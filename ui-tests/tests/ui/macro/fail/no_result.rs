use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) {
        
    }
}

fn main() {}
