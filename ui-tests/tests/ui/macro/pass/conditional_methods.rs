//! A method that is not compiled is no operation.

use async_fuser::lib_async::{AsyncFilesystem, Result};
use async_fuser::fuse_filesystem;

struct Files;

#[fuse_filesystem]
impl Files {
    #[cfg(unix)]
    async fn unlink(&self, #[allow(unused_variables)] name: &str) -> Result<()> {
        Ok(())
    }

    #[cfg(windows)]
    async fn rmdir(&self) -> Result<NoSuchType> {
        Ok(NoSuchType)
    }

    #[cfg_attr(all(), cfg(windows))]
    async fn rename(&self) -> Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    async fn read(&self) -> Result<&str> {
        Ok("unix")
    }

    #[cfg(not(unix))]
    async fn read(&self) -> Result<NoSuchType> {
        Ok(NoSuchType)
    }

    #[cfg(windows)]
    async fn readdir(&self) -> Result<Vec<async_fuser::DirEntry>> {
        Ok(Vec::new())
    }

    async fn exchange(&self, options: u64) -> Result<()> {
        let _ = options;
        Ok(())
    }
}

struct Absent;

#[fuse_filesystem]
#[cfg(windows)]
impl Absent {
    async fn read(&self) -> Result<NoSuchType> {
        Ok(NoSuchType)
    }
}

fn main() {
    let names: Vec<_> = <Files as AsyncFilesystem>::OPERATIONS.names().collect();
    let exchange: &[&str] = if cfg!(target_os = "macos") { &["exchange"] } else { &[] };
    assert_eq!(names, [&["unlink", "read"], exchange].concat());
    let _ = Absent;
}
