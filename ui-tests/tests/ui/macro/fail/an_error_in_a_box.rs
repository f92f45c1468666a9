use async_fuser::{fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) -> Result<(), Box<dyn std::error::Error + Send>> {
        Ok(())
    }
}

fn main() {}
