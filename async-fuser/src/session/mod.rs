//! A session: from a mounted connection to its end.

pub(crate) mod acl;
mod background;
pub(crate) mod handshake;
pub(crate) mod incoming;
mod serve;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use acl::Acl;
pub use background::BackgroundSession;
use background::{Ended, Ending};
use handshake::{Agreed, handshake};

use crate::filesystem::Filesystem;
use crate::mount::{Config, Mount, SessionACL};
use crate::notifier::Notifier;
use crate::transport::{Device, Port, inherited};

/// A filesystem and its connection to the kernel.
///
/// Dropped without having been run, it unmounts.
// Dropped in this order: the connection is closed, which frees whoever waits for it, then it is
// unmounted, then the filesystem is destroyed.
#[derive(Debug)]
pub struct Session<FS: Filesystem> {
    port: Arc<Port>,
    mount: UnmountedOnDrop,
    filesystem: Destroyed<FS>,
    agreed: Agreed,
    acl: Acl,
    config: Config,
}

impl<FS: Filesystem> Session<FS> {
    /// Mounts the filesystem and agrees with the kernel on how to speak.
    ///
    /// A mountpoint of the form `/dev/fd/N` names a descriptor this process has inherited, whose
    /// connection somebody else has mounted: nothing is mounted then, nor unmounted.
    #[allow(clippy::use_self, reason = "fuser's signature, to the letter")]
    pub fn new<P: AsRef<Path>>(
        filesystem: FS,
        mountpoint: P,
        options: &Config,
    ) -> io::Result<Session<FS>> {
        let mountpoint = mountpoint.as_ref();
        if let Some(fd) = inherited(mountpoint)? {
            return Self::from_fd(filesystem, fd, options.acl, options.clone());
        }
        let (fd, mount) = Mount::new(mountpoint, options)?;
        Self::begin(filesystem, fd, Some(mount), options.acl, options.clone())
    }

    /// Uses a connection that somebody else has mounted: `fd` is a descriptor of `/dev/fuse`.
    ///
    /// Nothing is mounted, nor unmounted. The mount options in `config` describe what was done.
    pub fn from_fd(
        filesystem: FS,
        fd: OwnedFd,
        acl: SessionACL,
        config: Config,
    ) -> io::Result<Self> {
        Self::begin(filesystem, fd, None, acl, config)
    }

    fn begin(
        filesystem: FS,
        fd: OwnedFd,
        mount: Option<Mount>,
        acl: SessionACL,
        config: Config,
    ) -> io::Result<Self> {
        let mut filesystem = Destroyed(filesystem);
        let connection = mount.as_ref().and_then(Mount::connection);
        let mount = UnmountedOnDrop(SharedMount::new(mount));
        let port = Arc::new(Port::new(Device::new(fd), connection));
        let agreed = handshake(&mut filesystem.0, &port, &config, acl)?;
        Ok(Self { port, mount, filesystem, agreed, acl: Acl::new(acl), config })
    }

    /// Serves the filesystem until it is unmounted.
    pub fn run(self) -> io::Result<()> {
        let Self { port, mount, filesystem, agreed, acl, config } = self;
        let shared = port.clone();
        let result = serve::serve(&filesystem.0, port, &config, agreed, acl);
        shared.shared().end();
        // As in a drop: the connection is closed first, the filesystem destroyed last.
        drop(shared);
        let unmounted = mount.0.unmount();
        drop(filesystem);
        result.and(unmounted)
    }

    /// Serves the filesystem on a thread of its own.
    pub fn spawn(self) -> io::Result<BackgroundSession> {
        const GRACE: Duration = Duration::from_secs(5);

        let notifier = self.notifier();
        let ending = Ending {
            mount: self.mount.0.clone(),
            port: Arc::downgrade(&self.port),
            ended: Arc::default(),
            grace: self.config.busy_grace.unwrap_or(GRACE),
            in_vain: AtomicBool::new(false),
        };
        let ended = SetOnDrop(ending.ended.clone());
        let guard = thread::Builder::new().name("fuse-0".to_owned()).spawn(move || {
            // Dropped last, and also if the thread panics.
            let _ended = ended;
            self.run()
        })?;
        Ok(BackgroundSession::new(guard, notifier, ending))
    }

    /// Unmounts the filesystem: lazily if it is in use, so that its open files go on.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.mount.0.unmount()
    }

    /// Something that unmounts the filesystem later and from anywhere.
    pub fn unmount_callable(&mut self) -> SessionUnmounter {
        SessionUnmounter { mount: self.mount.0.clone() }
    }

    /// Tells the kernel what it did not ask for.
    pub fn notifier(&self) -> Notifier {
        Notifier::new(&self.port)
    }
}

impl<FS: Filesystem> AsFd for Session<FS> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.device().as_fd()
    }
}

/// Unmounts a session's filesystem, from any thread.
#[derive(Debug)]
pub struct SessionUnmounter {
    mount: SharedMount,
}

impl SessionUnmounter {
    /// Unmounts the filesystem: lazily if it is in use, so that its open files go on, and the
    /// session with them. Does nothing if it is not mounted any more.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.mount.unmount()
    }
}

/// A mount that several may end, once; none for a connection that somebody else has mounted.
#[derive(Clone, Debug)]
pub(crate) struct SharedMount(Option<Arc<Mutex<Mount>>>);

impl SharedMount {
    pub(crate) fn new(mount: Option<Mount>) -> Self {
        Self(mount.map(|mount| Arc::new(Mutex::new(mount))))
    }

    /// After an error the filesystem is as mounted as before.
    pub(crate) fn unmount(&self) -> io::Result<()> {
        let Some(mount) = &self.0 else { return Ok(()) };
        mount.lock().unwrap_or_else(PoisonError::into_inner).unmount().map(drop)
    }

    pub(crate) fn was_mounted(&self) -> bool {
        self.0.is_some()
    }
}

/// The mount of a session, which ends with it even if an unmounter is left.
#[derive(Debug)]
pub(crate) struct UnmountedOnDrop(pub(crate) SharedMount);

impl Drop for UnmountedOnDrop {
    fn drop(&mut self) {
        if let Err(error) = self.0.unmount() {
            log::warn!("{error}");
        }
    }
}

/// A filesystem that is destroyed when it is dropped.
#[derive(Debug)]
struct Destroyed<FS: Filesystem>(FS);

impl<FS: Filesystem> Drop for Destroyed<FS> {
    fn drop(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.0.destroy())).is_err() {
            log::error!("the filesystem's destroy panicked");
        }
    }
}

struct SetOnDrop(Arc<Ended>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
