use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};

use super::{Device, Port};

/// A file that the kernel reads and writes by itself on behalf of a file of this filesystem.
///
/// Made by [`ReplyOpen::open_backing`](crate::ReplyOpen::open_backing), and named in the answer by
/// [`ReplyOpen::opened_passthrough`](crate::ReplyOpen::opened_passthrough). From then on reads,
/// writes and mappings of that open file go to the backing file without a request.
///
/// The kernel needs every open file of an inode to name the same backing id while any of them is
/// open: keep one per inode and share it. Dropping it gives it back; files that are open keep
/// their backing file until they are closed.
#[derive(Debug)]
pub struct BackingId {
    port: Weak<Port>,
    id: u32,
}

impl BackingId {
    /// Registers `fd` with the connection `fuse_dev`, from any process that has both.
    ///
    /// The number names the file until [`ReplyOpen::wrap_backing`](crate::ReplyOpen::wrap_backing)
    /// takes it over and drops it, or the connection ends. Fails with `EPERM` without
    /// `CAP_SYS_ADMIN`, and with `ELOOP` where the file's filesystem is itself stacked too deep.
    pub fn create_raw(fuse_dev: impl AsFd, fd: impl AsFd) -> io::Result<u32> {
        Device::new(fuse_dev.as_fd().try_clone_to_owned()?).open_backing(fd.as_fd())
    }

    /// The kernel's number; the file stays registered until the connection ends or somebody wraps
    /// the number again.
    pub fn into_raw(self) -> u32 {
        let mut this = ManuallyDrop::new(self);
        this.port = Weak::new();
        this.id
    }

    pub(crate) fn open(port: &Arc<Port>, fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::wrap(port, port.device().open_backing(fd)?))
    }

    pub(crate) fn wrap(port: &Arc<Port>, id: u32) -> Self {
        Self { port: Arc::downgrade(port), id }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for BackingId {
    fn drop(&mut self) {
        // A connection that is gone has taken its backing files with it.
        if let Some(port) = self.port.upgrade() {
            if let Err(error) = port.device().close_backing(self.id) {
                log::error!("backing file {} was not given back: {error}", self.id);
            }
        }
    }
}
