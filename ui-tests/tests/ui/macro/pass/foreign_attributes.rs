//! Attributes of others stay where they are.

use async_fuser::lib_async::Result;
use async_fuser::{FileAttr, fuse_filesystem};

struct Files;

/// A filesystem.
#[fuse_filesystem]
#[allow(clippy::unused_async)]
impl Files {
    #![allow(clippy::unused_self)]

    /// The name of the file.
    pub const NAME: &'static str = "file";

    /// Looks it up.
    #[tracing::instrument(skip(self), err)]
    pub async fn lookup(&self, #[allow(unused_variables)] name: &str) -> Result<Option<FileAttr>> {
        std::future::ready(()).await;
        Ok(None)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(ino))]
    #[inline]
    fn readlink(&self, ino: u64) -> Result<String> {
        Ok(format!("{ino}"))
    }

    #[must_use]
    #[deprecated = "call it no more"]
    pub(crate) fn access(&self) -> Result<()> {
        Ok(())
    }

    #[expect(unused_variables)]
    fn unlink(&self, name: &str) -> Result<()> {
        Ok(())
    }
}

fn main() {
    assert_eq!(Files::NAME, "file");
}
