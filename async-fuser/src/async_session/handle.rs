use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::aside::aside;
use super::hub::Hub;
use super::in_flight::InFlight;
use super::notifier::AsyncNotifier;
use crate::notifier::Notifier;
use crate::session::SharedMount;

/// A hold on a session from outside: to unmount it, to notify the kernel, to see what it is at.
///
/// May be cloned and used from any task or thread; it does not keep the session alive.
#[derive(Clone)]
pub struct SessionHandle {
    pub(super) mount: SharedMount,
    pub(super) end: Arc<watch::Sender<End>>,
    pub(super) notifier: Notifier,
    pub(super) hub: Weak<Hub>,
    pub(super) places: Arc<Semaphore>,
}

/// How a session is asked to end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum End {
    /// It is not.
    No,
    /// It is unmounted; its users have their grace.
    Unmounted,
    /// At once.
    Now,
}

impl SessionHandle {
    /// Unmounts the filesystem: lazily if it is in use, so that its open files go on for
    /// [`Config::busy_grace`](crate::Config::busy_grace), after which the session ends without
    /// them. Returns when it is unmounted, which is before the session has ended. Does nothing if
    /// it is not mounted any more.
    pub async fn unmount(&self) -> io::Result<()> {
        let mount = self.mount.clone();
        aside(move || mount.unmount()).await?;
        self.has_unmounted();
        Ok(())
    }

    /// As [`unmount`](Self::unmount), without anybody who waits for it.
    pub(super) fn unmount_aside(&self) {
        let this = self.clone();
        let unmount = move || {
            if let Err(error) = this.mount.unmount() {
                log::warn!("{error}");
                return this.ask_for(End::Now);
            }
            this.has_unmounted();
        };
        let thread = std::thread::Builder::new().name("fuse-unmount".to_owned()).spawn(unmount);
        if let Err(error) = thread {
            log::warn!("the filesystem is not unmounted, but its session ends: {error}");
            self.ask_for(End::Now);
        }
    }

    /// Tells the kernel what it did not ask for.
    pub fn notifier(&self) -> AsyncNotifier {
        let notifier = AsyncNotifier::new();
        // It is new, so nothing was bound before.
        let _ = notifier.bind(self.notifier.clone(), self.places.clone());
        notifier
    }

    /// Every request that was read and has not been answered, the oldest first: what somebody is
    /// waiting for. Empty once the session has ended.
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.hub.upgrade().map(|hub| hub.in_flight()).unwrap_or_default()
    }

    /// Who uses it has their time from now on; a connection that was not mounted here has no users.
    fn has_unmounted(&self) {
        self.ask_for(if self.mount.was_mounted() { End::Unmounted } else { End::Now });
    }

    fn ask_for(&self, end: End) {
        self.end.send_if_modified(|asked| {
            let is_more = *asked < end;
            *asked = end.max(*asked);
            is_more
        });
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").field("mount", &self.mount).finish_non_exhaustive()
    }
}

/// A session that runs as a task.
///
/// Dropping it unmounts the filesystem and lets the session end by itself, as far as the runtime
/// lives that long; [`unmount`](Self::unmount) waits for that. Has the methods of
/// [`SessionHandle`], too.
#[derive(Debug)]
#[must_use = "dropped, it unmounts"]
pub struct AsyncBackgroundSession {
    handle: SessionHandle,
    /// `None` once it is joined.
    task: Option<JoinHandle<io::Result<()>>>,
}

impl AsyncBackgroundSession {
    pub(super) fn new(handle: SessionHandle, task: JoinHandle<io::Result<()>>) -> Self {
        Self { handle, task: Some(task) }
    }

    /// A hold on the session that can be kept elsewhere.
    pub fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// Unmounts the filesystem, waits for the session to end, and returns how it ended: requests
    /// that wait are given time to end, then `destroy` runs.
    ///
    /// Files that are still open are given [`Config::busy_grace`](crate::Config::busy_grace); then
    /// the session ends without them, and they answer with an error.
    pub async fn unmount(self) -> io::Result<()> {
        self.handle.unmount().await?;
        self.join().await
    }

    /// Waits for the session to end, because somebody unmounts the filesystem, and returns how it
    /// ended.
    pub async fn join(mut self) -> io::Result<()> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Deref for AsyncBackgroundSession {
    type Target = SessionHandle;

    fn deref(&self) -> &SessionHandle {
        &self.handle
    }
}

impl Drop for AsyncBackgroundSession {
    fn drop(&mut self) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            self.handle.unmount_aside();
        }
    }
}
