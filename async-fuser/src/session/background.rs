use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::SharedMount;
use super::serve::is_worker_of;
use crate::notifier::Notifier;
use crate::transport::Port;

/// A session that runs on threads of its own.
///
/// Dropping it unmounts the filesystem and waits until its `destroy` has run. If files of it are
/// still open after [`Config::busy_grace`](crate::Config::busy_grace), or another mount namespace
/// has a copy of the mount, the session ends nevertheless and they answer with an error; if a
/// method is still running then, it is no longer waited for.
#[derive(Debug)]
pub struct BackgroundSession {
    /// The thread that runs the session. It ends when the filesystem has been unmounted.
    pub guard: JoinHandle<io::Result<()>>,
    notifier: Notifier,
    ending: Ending,
}

impl BackgroundSession {
    pub(super) fn new(
        guard: JoinHandle<io::Result<()>>,
        notifier: Notifier,
        ending: Ending,
    ) -> Self {
        Self { guard, notifier, ending }
    }

    /// Unmounts the filesystem, waits for the session to end, and returns how it ended.
    ///
    /// Files that are still open are given [`Config::busy_grace`](crate::Config::busy_grace), then
    /// the connection is aborted. Where that is not permitted, which is so for an ordinary user on
    /// a system that does not have the control filesystem `fusectl` mounted, this is an error, and
    /// the session ends with the last of its users.
    pub fn umount_and_join(self) -> io::Result<()> {
        self.ending.unmount()?;
        self.join()
    }

    /// Tells the kernel what it did not ask for.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// Waits for the session to end, because somebody unmounts the filesystem, and returns how it
    /// ended.
    pub fn join(self) -> io::Result<()> {
        self.guard.join().unwrap_or_else(|_| Err(io::Error::other("the session's thread panicked")))
    }
}

/// How a background session is brought to its end.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) mount: SharedMount,
    pub(super) port: Weak<Port>,
    pub(super) ended: Arc<Ended>,
    pub(super) grace: Duration,
    /// The connection could not be aborted, and there is no use in trying again.
    pub(super) in_vain: AtomicBool,
}

impl Ending {
    /// Unmounts, and if something keeps the session alive, ends it when its time is up: files that
    /// are open, or a copy of the mount in another mount namespace.
    fn unmount(&self) -> io::Result<()> {
        self.mount.unmount()?;
        if self.mount.was_mounted() && !self.wait() {
            log::warn!("the filesystem is still in use: the session ends without its users");
            self.abort()?;
        }
        Ok(())
    }

    fn abort(&self) -> io::Result<()> {
        let Some(port) = self.port.upgrade() else { return Ok(()) };
        port.abort().inspect_err(|_| self.in_vain.store(true, Ordering::Relaxed))
    }

    /// Waits for the end as long as is allowed. True if it came, or would never come because it is
    /// this thread that must bring it about.
    fn wait(&self) -> bool {
        let is_worker = self.port.upgrade().is_some_and(|port| is_worker_of(port.shared()));
        is_worker || self.ended.wait(self.grace)
    }

    /// Does all that a drop has to do.
    fn end(&self) -> io::Result<()> {
        let unmounted = self.unmount();
        if self.in_vain.load(Ordering::Relaxed) {
            return unmounted;
        }
        // What cannot be unmounted, or came as a descriptor and need not be, ends like this.
        if unmounted.is_err() || !self.mount.was_mounted() {
            self.abort()?;
        }
        if !self.wait() {
            log::warn!("a method of the filesystem is still running: it is not waited for");
        }
        unmounted
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.ended.wait(Duration::ZERO) || self.in_vain.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.end() {
            log::warn!("{error}");
        }
    }
}

/// Whether a session has ended, for whoever waits for it.
#[derive(Debug, Default)]
pub(super) struct Ended {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Ended {
    pub(super) fn set(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits at most this long. True if it has ended.
    fn wait(&self, at_most: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = self
            .changed
            .wait_timeout_while(ended, at_most, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }
}
