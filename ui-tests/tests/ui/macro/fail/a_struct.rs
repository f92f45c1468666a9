use async_fuser::fuse_filesystem;

#[fuse_filesystem]
struct Files;

fn main() {}
