use async_fuser::{Errno, fuse_filesystem};

struct Files<'a>(&'a str);

#[fuse_filesystem]
impl<'a> Files<'a> {
    fn unlink(&self) -> Result<(), Errno> {
        let _ = self.0;
        Ok(())
    }
}

fn main() {
    let name = String::new();
    let config = Default::default();
    let _mounted = async_fuser::mount_async(Files(&name), "/mnt", &config);
}
