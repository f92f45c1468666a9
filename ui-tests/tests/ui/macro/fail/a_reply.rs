use async_fuser::{Errno, FileAttr, ReplyAttr, fuse_filesystem};

struct Files;

#[fuse_filesystem]
impl Files {
    fn getattr(&self, reply: ReplyAttr) -> Result<FileAttr, Errno> {
        reply.error(Errno::ENOSYS);
        Err(Errno::ENOSYS)
    }
}

fn main() {}
