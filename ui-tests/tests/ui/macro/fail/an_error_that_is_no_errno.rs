use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) -> Result<(), String> {
        Err(String::new())
    }
}

fn main() {}
