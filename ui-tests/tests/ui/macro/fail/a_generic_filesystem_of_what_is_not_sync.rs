use async_fuser::{Errno, fuse_filesystem};

struct Files<T>(T);

#[fuse_filesystem]
impl<T> Files<T> {
    fn unlink(&self) -> Result<(), Errno> {
        let _ = &self.0;
        Ok(())
    }
}

fn main() {
    fn is_filesystem<T: async_fuser::AsyncFilesystem>(_: T) {}
    is_filesystem(Files(std::cell::Cell::new(1)));
}
