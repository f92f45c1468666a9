use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    fn path_of(&self, ino: u64) -> String {
        format!("{ino}")
    }
}

fn main() {}
