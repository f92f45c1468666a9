use async_fuser::{Errno, fuse_filesystem};

struct Files(std::sync::Mutex<Vec<&'static [u8]>>);

#[fuse_filesystem]
impl Files {
    async fn write<'a>(&'a self, data: &'a [u8]) -> Result<usize, Errno> {
        self.0.lock().unwrap().push(data);
        Ok(data.len())
    }
}

fn main() {}
