use async_fuser::{Errno, INodeNo, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, INodeNo(parent): INodeNo) -> Result<(), Errno> {
        let _ = parent;
        Err(Errno::ENOSYS)
    }
}

fn main() {}
