//! The user's methods are called like any others, by code and by tests.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_fuser::{Errno, fuse_filesystem};

struct Files {
    removed: AtomicUsize,
}

#[fuse_filesystem]
impl Files {
    async fn unlink(&self, name: &str) -> Result<(), Errno> {
        self.remove(name)
    }

    fn rmdir(&self, name: &str, parent: u64) -> Result<(), Errno> {
        if parent == 1 { self.remove(name) } else { Err(Errno::ENOTDIR) }
    }
}

impl Files {
    fn remove(&self, name: &str) -> Result<(), Errno> {
        if name.is_empty() {
            return Err(Errno::ENOENT);
        }
        self.removed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn main() {
    let files = Files { removed: AtomicUsize::new(0) };
    let unlinked = pin!(files.unlink("name")).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(unlinked, Poll::Ready(Ok(())));
    assert_eq!(files.rmdir("name", 1), Ok(()));
    assert_eq!(Files::rmdir(&files, "", 1), Err(Errno::ENOENT));
    assert_eq!(files.removed.load(Ordering::Relaxed), 2);
}
