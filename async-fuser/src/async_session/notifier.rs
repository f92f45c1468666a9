use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::aside::aside;
use super::flight::{Flight, current};
use crate::notifier::Notifier;
use crate::transport::BackingId;
use crate::types::{Errno, INodeNo, PollHandle};

/// Tells the kernel what it did not ask for: above all, that something it remembers has changed.
///
/// It can be made before its session and be part of the filesystem: hand a clone to
/// [`AsyncSessionBuilder::notifier`](super::AsyncSessionBuilder::notifier). Until the session has
/// begun, every method fails with `ENOTCONN`; once it has ended, with `ENODEV`.
///
/// # Within a method
///
/// The kernel may not return from an invalidation before requests that concern the same inode or
/// directory are answered. So where a method of the filesystem sends one, it is kept until that
/// method's own answer is on its way, and the call returns `Ok` at once; what becomes of it is
/// logged. Elsewhere the future waits until the kernel has done it, on a thread of its own: nothing
/// else stands still meanwhile. Do not wait for one while holding a lock that a method needs.
///
/// # Examples
///
/// ```no_run
/// use async_fuser::lib_async::{AsyncFilesystem, AsyncNotifier, AsyncSessionBuilder};
/// use async_fuser::INodeNo;
///
/// struct Clock {
///     notifier: AsyncNotifier,
/// }
///
/// impl AsyncFilesystem for Clock {}
///
/// # async fn run() -> std::io::Result<()> {
/// let notifier = AsyncNotifier::new();
/// let session = AsyncSessionBuilder::new(Clock { notifier: notifier.clone() })
///     .notifier(notifier.clone())
///     .spawn("/mnt/clock")
///     .await?;
/// notifier.inval_inode(INodeNo(2), 0, 0).await?;
/// session.unmount().await
/// # }
/// ```
#[derive(Clone)]
pub struct AsyncNotifier(Arc<Inner>);

struct Inner {
    bound: OnceLock<Bound>,
}

struct Bound {
    notifier: Notifier,
    /// Each notification under way takes a thread, of which a session has so many.
    places: Arc<Semaphore>,
}

impl AsyncNotifier {
    /// A notifier for a session that is still to come.
    pub fn new() -> Self {
        Self(Arc::new(Inner { bound: OnceLock::new() }))
    }

    /// That of the session whose method is running; one without a session where none is.
    pub fn current() -> Self {
        let this = Self::new();
        if let Some(flight) = current() {
            // It is new, so nothing was bound before.
            let hub = &flight.hub;
            let _ = this.bind(flight.notifier.clone(), hub.places.clone());
        }
        this
    }

    pub(super) fn bind(&self, notifier: Notifier, places: Arc<Semaphore>) -> io::Result<()> {
        self.0.bound.set(Bound { notifier, places }).map_err(|_| bound_already())
    }

    pub(super) fn has_session(&self) -> bool {
        self.0.bound.get().is_some()
    }

    /// Somebody who polls the open file behind `kh` asks again what it is ready for. Never waits.
    pub fn poll(&self, kh: PollHandle) -> io::Result<()> {
        self.bound()?.notifier.poll(kh)
    }

    /// The kernel forgets what it knows of a directory entry. It is no error if it knew nothing.
    ///
    /// An entry that is a mountpoint or in use is only looked up anew.
    pub async fn inval_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        let name = name.to_owned();
        self.send(move |notifier| notifier.inval_entry(parent, &name)).await
    }

    /// The kernel looks an entry up before it uses it again, and keeps what it has if nothing has
    /// changed. Unlike [`inval_entry`](Self::inval_entry) this does not tear down what is mounted
    /// or watched below. Takes `FUSE_HAS_EXPIRE_ONLY` (ABI 7.38).
    pub async fn expire_entry(&self, parent: INodeNo, name: &OsStr) -> io::Result<()> {
        let name = name.to_owned();
        self.send(move |notifier| notifier.expire_entry(parent, &name)).await
    }

    /// The kernel forgets an inode's attributes, and its cached data from `offset` on: `len`
    /// bytes of it, all if `len` is 0 or less, none if `offset` is negative.
    pub async fn inval_inode(&self, ino: INodeNo, offset: i64, len: i64) -> io::Result<()> {
        self.send(move |notifier| notifier.inval_inode(ino, offset, len)).await
    }

    /// Puts data into the kernel's cache of an inode, and extends its size to the data's end.
    /// Newer kernels take this for regular files alone, and answer `EINVAL` for others.
    pub async fn store(
        &self,
        ino: INodeNo,
        offset: u64,
        data: impl Into<Vec<u8>>,
    ) -> io::Result<()> {
        let data = data.into();
        self.send(move |notifier| notifier.store(ino, offset, &data)).await
    }

    /// A directory entry is gone: as [`inval_entry`](Self::inval_entry), and whoever watches the
    /// directory is told that `child` was deleted.
    pub async fn delete(&self, parent: INodeNo, child: INodeNo, name: &OsStr) -> io::Result<()> {
        let name = name.to_owned();
        self.send(move |notifier| notifier.delete(parent, child, &name)).await
    }

    /// Takes data out of the kernel's cache of a regular file: at most `size` bytes from `offset`
    /// on, as far as they are cached without a gap.
    ///
    /// Unlike the others this waits within a method too. The data is a request like others, so while
    /// [`max_in_flight`](super::AsyncSessionBuilder::max_in_flight) requests wait it does not arrive:
    /// a method that waits for it must not be the last for which there is room. Fails with `ENOENT` for an inode the
    /// kernel does not know, and with `ENODEV` when the session ends first.
    pub async fn retrieve(&self, ino: INodeNo, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        self.aside(move |notifier| notifier.retrieve(ino, offset, size)).await
    }

    /// The kernel sends again all requests that were read and not answered, for a process that
    /// has taken the connection over. [`Request::is_resent`](crate::Request::is_resent) marks
    /// them. Fails with `EINVAL` before ABI 7.40.
    pub async fn resend(&self) -> io::Result<()> {
        self.send(Notifier::resend).await
    }

    /// All directory entries the kernel knows are looked up anew before they are used again.
    /// Fails with `EINVAL` before ABI 7.44.
    pub async fn inc_epoch(&self) -> io::Result<()> {
        self.send(Notifier::inc_epoch).await
    }

    /// The kernel lets go of these inodes, as far as nobody uses them: it forgets them, as after
    /// memory pressure. Fails with `EINVAL` before ABI 7.45.
    pub async fn prune(&self, inodes: impl Into<Vec<INodeNo>>) -> io::Result<()> {
        let inodes = inodes.into();
        self.send(move |notifier| notifier.prune(&inodes)).await
    }

    /// Sends it now, or if that could be in its own way, behind the answer.
    async fn send(
        &self,
        send: impl FnOnce(&Notifier) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let notifier = self.bound()?.notifier.clone();
        match current() {
            Some(flight) => {
                flight.defer(Deferred(Box::new(move || send(&notifier))));
                Ok(())
            }
            None => self.aside(send).await,
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        send: impl FnOnce(&Notifier) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Bound { notifier, places } = self.bound()?;
        let notifier = notifier.clone();
        // Never closed, so there always is one in the end.
        let place = places.clone().acquire_owned().await.map_err(|_| Errno::ENODEV)?;
        aside(move || {
            let _place = place;
            send(&notifier)
        })
        .await
    }

    fn bound(&self) -> io::Result<&Bound> {
        self.0.bound.get().ok_or_else(|| Errno::ENOTCONN.into())
    }
}

impl Default for AsyncNotifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AsyncNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncNotifier")
            .field("has_session", &self.has_session())
            .finish_non_exhaustive()
    }
}

pub(super) fn bound_already() -> io::Error {
    let error = "a notifier is of one session, and this one has a session already";
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// A notification that is sent when its method's answer is on its way.
pub(super) struct Deferred(Box<Sending>);

type Sending = dyn FnOnce() -> io::Result<()> + Send;

impl Deferred {
    /// Sends them one after the other, as soon as one of the places is free.
    pub(super) async fn send_all(deferred: Vec<Self>, places: Arc<Semaphore>) {
        let Ok(_place) = places.acquire_owned().await else { return };
        let sent = aside(move || {
            for Self(send) in deferred {
                if let Err(error) = send() {
                    log::warn!("a notification from within a method: {error}");
                }
            }
            Ok(())
        });
        if let Err(error) = sent.await {
            log::warn!("notifications from within a method: {error}");
        }
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}

/// Registers a file for the kernel to read and write by itself, with the session whose method is
/// running; see [`BackingId`].
///
/// Fails with `ENOTCONN` where no method is running, with `EPERM` without `CAP_SYS_ADMIN`, and with
/// `ELOOP` where the file's filesystem is itself stacked too deep.
pub fn open_backing(file: impl AsFd) -> io::Result<BackingId> {
    let flight: Arc<Flight> = current().ok_or(Errno::ENOTCONN)?;
    flight.notifier.open_backing(file.as_fd())
}
