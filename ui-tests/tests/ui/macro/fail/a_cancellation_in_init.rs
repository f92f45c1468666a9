use async_fuser::lib_async::Cancellation;
use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn init(&mut self, cancellation: Cancellation) -> Result<(), Errno> {
        let _ = cancellation;
        Ok(())
    }
}

fn main() {}
