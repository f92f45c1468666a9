use async_fuser::{Errno, FileAttr, INodeNo, fuse_filesystem};

struct Files;

#[fuse_filesystem(tlt = "1s")]
impl Files {
    async fn lokup(&self, parent: INodeNo) -> Result<FileAttr, Errno> {
        let _ = parent;
        Err(Errno::ENOENT)
    }

    async fn getattr(&self, inode: INodeNo) -> Result<FileAttr, Errno> {
        let _ = inode;
        Err(Errno::ENOENT)
    }

    async fn read(&self, offset: String) -> Result<Vec<u8>, Errno> {
        let _ = offset;
        Err(Errno::ENOENT)
    }

    async fn write(&mut self) -> Result<bool, Errno> {
        Ok(true)
    }

    async fn unlink(&self) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
