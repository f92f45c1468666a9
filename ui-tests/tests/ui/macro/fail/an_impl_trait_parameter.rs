use std::ffi::OsStr;

use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, name: impl AsRef<OsStr>) -> Result<(), Errno> {
        let _ = name.as_ref();
        Err(Errno::ENOSYS)
    }
}

fn main() {}
