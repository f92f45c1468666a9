//! The runtime is reached through somebody else's re-export, by any kind of path.

mod facade {
    pub mod vendored {
        pub use async_fuser as fuse;
    }
}

use facade::vendored::fuse::{Errno, fuse_filesystem};

struct ByCrate;

#[fuse_filesystem(crate = crate::facade::vendored::fuse)]
impl ByCrate {
    async fn unlink(&self, name: &str) -> Result<(), Errno> {
        let _ = name;
        Ok(())
    }
}

struct ByModule;

#[fuse_filesystem(crate = facade::vendored::fuse, ttl = "1s")]
impl ByModule {
    async fn unlink(&self, name: &str) -> Result<(), Errno> {
        let _ = name;
        Ok(())
    }
}

struct ByText;

#[fuse_filesystem(crate = "self::facade::vendored::fuse")]
impl ByText {
    async fn read(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        Ok(buf.len())
    }
}

fn main() {}
