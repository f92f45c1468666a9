use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    fn interrupt(&self) {
        
    }
}

fn main() {}
