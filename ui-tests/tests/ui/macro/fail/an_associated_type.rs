use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    type Handle = u64;
}

fn main() {}
