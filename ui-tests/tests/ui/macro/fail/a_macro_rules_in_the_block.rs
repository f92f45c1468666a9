use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    macro_rules! answers { () => {}; }
}

fn main() {}
