use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lseek(&self) -> Result<f64, Errno> {
        Ok(0.0)
    }
}

fn main() {}
