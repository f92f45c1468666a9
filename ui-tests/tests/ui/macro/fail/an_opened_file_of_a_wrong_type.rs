use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn open(&self) -> Result<String, Errno> {
        Ok(String::new())
    }
}

fn main() {}
