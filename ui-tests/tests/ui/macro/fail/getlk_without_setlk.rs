use async_fuser::{Errno, fuse_filesystem};
use async_fuser::lib_async::Lock;

struct Files;

#[fuse_filesystem]
impl Files {
    async fn getlk(&self) -> Result<Option<Lock>, Errno> {
        Ok(None)
    }
}

fn main() {}
