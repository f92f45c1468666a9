use std::ffi::OsStr;
use std::fmt;
use std::io;
#[cfg(feature = "async")]
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Weak};

use nix::libc;

#[cfg(feature = "async")]
use crate::transport::BackingId;
use crate::transport::Port;
use crate::types::{Errno, INodeNo, PollHandle};
use crate::wire::Message;
use crate::wire::notify::Notification;

/// Tells the kernel what it did not ask for: above all, that something it remembers has changed.
///
/// May be cloned and used from any thread, for as long as the session lives; afterwards every
/// method fails with `ENODEV`.
///
/// The kernel may not return from an invalidation before requests that concern the same inode or
/// directory are answered. Do not call one from within a method that serves such a request, nor
/// while holding a lock that such a method needs: answer first, or notify from another thread.
#[derive(Clone, Debug)]
pub struct Notifier(Weak<Port>);

impl Notifier {
    pub(crate) fn new(port: &Arc<Port>) -> Self {
        Self(Arc::downgrade(port))
    }

    /// Somebody who polls the open file behind `kh` asks again what it is ready for.
    pub fn poll(&self, kh: PollHandle) -> io::Result<()> {
        self.send(&Notification::poll(kh))
    }

    /// The kernel forgets what it knows of a directory entry. It is no error if it knew nothing.
    ///
    /// An entry that is a mountpoint or in use is only looked up anew.
    pub fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.send_invalidation(&Notification::inval_entry(parent, name.as_bytes(), false)?)
    }

    /// The kernel looks an entry up before it uses it again, and keeps what it has if nothing has
    /// changed. Unlike [`inval_entry`](Self::inval_entry) this does not tear down what is mounted
    /// or watched below. Takes `FUSE_HAS_EXPIRE_ONLY` (ABI 7.38).
    pub fn expire_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        self.send_invalidation(&Notification::inval_entry(parent, name.as_bytes(), true)?)
    }

    /// The kernel forgets an inode's attributes, and its cached data from `offset` on: `len`
    /// bytes of it, all if `len` is 0 or less, none if `offset` is negative.
    pub fn inval_inode(&self, ino: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        self.send_invalidation(&Notification::inval_inode(ino, offset, len))
    }

    /// Puts data into the kernel's cache of an inode, and extends its size to the data's end.
    /// Newer kernels take this for regular files alone, and answer `EINVAL` for others.
    pub fn store(&self, ino: INodeNo, offset: u64, data: &[u8]) -> io::Result<()> {
        self.send_invalidation(&Notification::store(ino, offset, data)?)
    }

    /// A directory entry is gone: as [`inval_entry`](Self::inval_entry), and whoever watches the
    /// directory is told that `child` was deleted.
    pub fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        self.send_invalidation(&Notification::delete(parent, child, name.as_bytes())?)
    }

    /// Takes data out of the kernel's cache of a regular file: at most `size` bytes from `offset`
    /// on, as far as they are cached without a gap.
    ///
    /// The data arrives as a request of its own, so this waits for a worker of the session: it
    /// never returns when called from the only one. Fails with `ENOENT` for an inode the kernel
    /// does not know, and with `ENODEV` when the session ends first.
    pub fn retrieve(&self, ino: INodeNo, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let port = self.port()?;
        let (number, data) = port.shared().expect_retrieval();
        if let Err(error) = send(&port, &Notification::retrieve(number, ino, offset, size)) {
            port.shared().forget_retrieval(number);
            return Err(error);
        }
        // The wait must not keep the connection open.
        drop(port);
        data.recv().map_err(|_| ended())
    }

    /// The kernel sends again all requests that were read and not answered, for a process that
    /// has taken the connection over. [`Request::is_resent`](crate::Request::is_resent) marks
    /// them. Fails with `EINVAL` before ABI 7.40.
    pub fn resend(&self) -> io::Result<()> {
        self.send(&Notification::resend())
    }

    /// All directory entries the kernel knows are looked up anew before they are used again.
    /// Fails with `EINVAL` before ABI 7.44.
    pub fn inc_epoch(&self) -> io::Result<()> {
        self.send(&Notification::inc_epoch())
    }

    /// The kernel lets go of these inodes, as far as nobody uses them: it forgets them, as after
    /// memory pressure. Fails with `EINVAL` before ABI 7.45.
    pub fn prune(&self, inodes: &[INodeNo]) -> io::Result<()> {
        self.send(&Notification::prune(inodes)?)
    }

    #[cfg(feature = "async")]
    pub(crate) fn open_backing(&self, file: BorrowedFd<'_>) -> io::Result<BackingId> {
        BackingId::open(&self.port()?, file)
    }

    fn send(&self, notification: &Notification<'_>) -> io::Result<()> {
        send(&*self.port()?, notification)
    }

    /// What the kernel does not know, it need not forget.
    fn send_invalidation(&self, notification: &Notification<'_>) -> io::Result<()> {
        match self.send(notification) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }

    fn port(&self) -> io::Result<Arc<Port>> {
        self.0.upgrade().ok_or_else(ended)
    }
}

/// Tells the kernel, once, that an open file somebody polls may be ready.
#[derive(Clone)]
pub struct PollNotifier {
    handle: PollHandle,
    notifier: Notifier,
}

impl PollNotifier {
    pub(crate) fn new(handle: PollHandle, port: &Arc<Port>) -> Self {
        Self { handle, notifier: Notifier::new(port) }
    }

    /// The kernel's name for whoever polls.
    pub fn handle(&self) -> PollHandle {
        self.handle
    }

    /// Whoever polls asks again what the file is ready for.
    pub fn notify(self) -> io::Result<()> {
        self.notifier.poll(self.handle)
    }
}

impl fmt::Debug for PollNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PollNotifier").field(&self.handle.0).finish()
    }
}

fn send(port: &Port, notification: &Notification<'_>) -> io::Result<()> {
    port.send(&Message::notification(notification.code(), notification.parts()))
}

fn ended() -> io::Error {
    Errno::ENODEV.into()
}
