use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn init(&mut self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
