use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    fn batch_forget(&self) {}
}

fn main() {}
