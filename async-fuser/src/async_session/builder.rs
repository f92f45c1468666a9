use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::driver::AsyncSession;
use super::handle::AsyncBackgroundSession;
use super::hub::Limits;
use super::notifier::AsyncNotifier;
use crate::mount::Config;
use crate::op::{self, Operations};
use crate::serve::Serve;

/// How an asynchronous filesystem is mounted and served.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use async_fuser::lib_async::{AsyncFilesystem, AsyncSessionBuilder};
///
/// struct Nothing;
///
/// impl AsyncFilesystem for Nothing {}
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// AsyncSessionBuilder::new(Nothing)
///     .deadline(Duration::from_secs(30))
///     .signals(true)
///     .mount("/mnt/nothing")
///     .await?
///     .run()
///     .await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is mounted before `mount` or `spawn`"]
pub struct AsyncSessionBuilder<S> {
    pub(super) filesystem: S,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) notifier: Option<AsyncNotifier>,
    requests: usize,
    bytes: usize,
    deadline: Option<Duration>,
    /// By the row of the operation, where it is another.
    deadlines: Vec<(usize, Option<Duration>)>,
    pub(super) drain: Duration,
    pub(super) signals: bool,
    pub(super) blocking_reader: bool,
    pub(super) kernel_timeout: Option<Duration>,
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        let mut deadlines = [self.deadline; Operations::COUNT];
        for (row, limit) in &self.deadlines {
            deadlines[*row] = *limit;
        }
        Limits { requests: self.requests, bytes: self.bytes, deadlines }
    }
}

/// Where a connection comes from.
pub(super) enum Origin {
    Mountpoint(PathBuf),
    Descriptor(OwnedFd),
}

impl<S: Serve> AsyncSessionBuilder<S> {
    /// Begins with the defaults that each method below names.
    pub fn new(filesystem: S) -> Self {
        const REQUESTS: usize = 65_536;
        const BYTES: usize = 1 << 30;
        const DRAIN: Duration = Duration::from_secs(5);
        Self {
            filesystem,
            settings: Settings {
                config: Config::default(),
                notifier: None,
                requests: REQUESTS,
                bytes: BYTES,
                deadline: None,
                deadlines: Vec::new(),
                drain: DRAIN,
                signals: false,
                blocking_reader: false,
                kernel_timeout: None,
            },
        }
    }

    /// The mount options, and who may use the mount. [`Config::default`] if not set.
    ///
    /// [`Config::n_threads`] is the number of readers: the first is a task of the runtime, which is
    /// the fastest for one caller at a time; each further one is a thread, with a descriptor of its
    /// own whether or not [`Config::clone_fd`] says so. What a thread reads it polls, too; what
    /// waits is the runtime's.
    pub fn config(mut self, config: &Config) -> Self {
        self.settings.config = config.clone();
        self
    }

    /// A notifier that was made before the session, and is the session's from now on.
    ///
    /// A session has any number of notifiers without this: see
    /// [`SessionHandle::notifier`](super::SessionHandle::notifier) and [`AsyncNotifier::current`].
    pub fn notifier(mut self, notifier: AsyncNotifier) -> Self {
        self.settings.notifier = Some(notifier);
        self
    }

    /// How many requests may wait at the same time; 65,536 if not set, at least 1.
    ///
    /// While so many wait, none is read, not even an interrupt: the kernel keeps them, and their
    /// callers wait there.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.settings.requests = requests.max(1);
        self
    }

    /// How many bytes the requests that wait may take together, with the answers to reads counted
    /// as large as they may become; 1 GiB if not set. One more is read whatever its size.
    pub fn max_in_flight_bytes(mut self, bytes: usize) -> Self {
        self.settings.bytes = bytes.max(1);
        self
    }

    /// How long any operation may wait. One that has not ended by then answers `ETIMEDOUT`; if it
    /// changes nothing it is dropped, otherwise it goes on unheard. No limit if not set.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.settings.deadline = Some(limit);
        self
    }

    /// How long one operation may wait, by the name of its method, whatever
    /// [`deadline`](Self::deadline) says; `None` is without limit. An
    /// operation that waits for somebody else, such as `setlk`, is better without.
    ///
    /// # Panics
    ///
    /// If there is no operation of such a name.
    pub fn deadline_of(mut self, method: &str, limit: impl Into<Option<Duration>>) -> Self {
        let row = op::row(method)
            .unwrap_or_else(|| panic!("there is no operation with a method '{method}'"));
        self.settings.deadlines.push((row, limit.into()));
        self
    }

    /// How long requests that wait when the session ends are given to end by themselves; 5 seconds
    /// if not set. Then they are dropped.
    pub fn drain(mut self, limit: Duration) -> Self {
        self.settings.drain = limit;
        self
    }

    /// Whether `SIGINT`, `SIGTERM` and `SIGHUP` unmount the filesystem, and so end the session as
    /// an unmount does. If not set they do what they do otherwise, in most programs to end it with
    /// the mount left behind.
    pub fn signals(mut self, handled: bool) -> Self {
        self.settings.signals = handled;
        self
    }

    /// Whether the first reader, too, is a thread that waits for requests in the kernel, instead of a
    /// task that the runtime wakes. If not set it is a task.
    ///
    /// A thread saves two system calls a request where callers come one at a time, and does not
    /// compete with the runtime's other tasks. Methods that wait are the runtime's all the same, and
    /// pay for the way there. A thread that waits in the kernel can be called off only by ending the
    /// connection: a session of a user other than root, whose files are still in use after their
    /// grace, ends with an error where the control filesystem `fusectl` is not mounted.
    pub fn blocking_reader(mut self, blocking: bool) -> Self {
        self.settings.blocking_reader = blocking;
        self
    }

    /// After how long without an answer the kernel aborts the whole mount, if it can
    /// (`FUSE_REQUEST_TIMEOUT`, since Linux 6.15): a backstop for a filesystem that hangs
    /// altogether. Rounded up to whole seconds. Never if not set.
    pub fn kernel_timeout(mut self, limit: Duration) -> Self {
        self.settings.kernel_timeout = Some(limit);
        self
    }

    /// Mounts the filesystem and agrees with the kernel on how to speak.
    ///
    /// A mountpoint of the form `/dev/fd/N` names a descriptor this process has inherited, whose
    /// connection somebody else has mounted: nothing is mounted then, nor unmounted.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, if it cannot be mounted (the error says why and what
    /// to do), or if the filesystem's `init` fails. Nothing stays mounted.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime that has its I/O driver enabled. The time driver is needed too,
    /// for deadlines and to end in time.
    pub async fn mount(self, mountpoint: impl AsRef<Path>) -> io::Result<AsyncSession<S>> {
        let origin = Origin::Mountpoint(mountpoint.as_ref().to_owned());
        AsyncSession::begin(self, origin).await
    }

    /// Uses a connection that somebody else has mounted: `fd` is a descriptor of `/dev/fuse`.
    ///
    /// Nothing is mounted, nor unmounted. The mount options in the config describe what was done.
    /// Reading from the descriptor no longer blocks from now on, for whoever has a copy of it.
    ///
    /// # Errors
    ///
    /// As [`mount`](Self::mount).
    pub async fn from_fd(self, fd: OwnedFd) -> io::Result<AsyncSession<S>> {
        AsyncSession::begin(self, Origin::Descriptor(fd)).await
    }

    /// Mounts the filesystem and serves it in the background.
    ///
    /// # Errors
    ///
    /// As [`mount`](Self::mount).
    pub async fn spawn(self, mountpoint: impl AsRef<Path>) -> io::Result<AsyncBackgroundSession> {
        Ok(self.mount(mountpoint).await?.spawn())
    }
}
