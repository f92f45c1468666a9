use std::ffi::OsStr;

use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(name: &OsStr) -> Result<(), Errno> {
        let _ = name;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
