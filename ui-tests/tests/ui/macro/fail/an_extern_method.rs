use async_fuser::{Errno, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    extern "C" fn unlink(&self) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

fn main() {}
