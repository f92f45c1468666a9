use async_fuser::{fuse_filesystem};

struct Files;

struct Broken;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) -> Result<(), Broken> {
        Err(Broken)
    }
}

fn main() {}
