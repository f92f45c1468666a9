use async_fuser::fuse_filesystem;

#[fuse_filesystem]
trait Files {
    fn unlink(&self);
}

fn main() {}
