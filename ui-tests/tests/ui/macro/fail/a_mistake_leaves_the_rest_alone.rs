use async_fuser::{Errno, FileAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    async fn lokup(&self) -> Result<FileAttr, Errno> {
        Err(Errno::ENOENT)
    }

    async fn getattr(&self) -> Result<FileAttr, Errno> {
        Err(Errno::ENOENT)
    }
}

fn main() {
    fn is_filesystem<T: async_fuser::AsyncFilesystem>(_: T) {}
    is_filesystem(Files);
    let _future = Files.getattr();
    let _future = Files.lokup();
}
