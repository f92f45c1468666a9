use async_fuser::{AsyncFilesystem, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl AsyncFilesystem for Files {

}

fn main() {}
