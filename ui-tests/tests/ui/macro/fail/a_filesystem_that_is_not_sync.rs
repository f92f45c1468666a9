use std::cell::Cell;

use async_fuser::{Errno, fuse_filesystem};

struct Files(Cell<u32>);

#[fuse_filesystem]
impl Files {
    fn unlink(&self) -> Result<(), Errno> {
        self.0.set(1);
        Ok(())
    }
}

fn main() {}
