use std::sync::Mutex;

use async_fuser::{Errno, fuse_filesystem};

struct Files(Mutex<u32>);

#[fuse_filesystem]
impl Files {
    async fn unlink(&self) -> Result<(), Errno> {
        let mut count = self.0.lock().unwrap();
        std::future::ready(()).await;
        *count += 1;
        Ok(())
    }
}

fn main() {}
