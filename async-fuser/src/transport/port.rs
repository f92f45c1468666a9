use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Device;
use super::abort::abort;
use crate::wire::Message;

/// The way to the kernel for whatever outlives one request: replies, notifiers, backing files.
///
/// A session has one per descriptor; all of them share one [`Shared`].
#[derive(Debug)]
pub(crate) struct Port {
    device: Device,
    shared: Arc<Shared>,
}

impl Port {
    /// `connection` is the number of the connection, if it is known.
    pub(crate) fn new(device: Device, connection: Option<u32>) -> Self {
        Self { device, shared: Arc::new(Shared { connection, ..Shared::default() }) }
    }

    /// Another descriptor of the same connection.
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        Ok(Self { device: self.device.duplicate()?, shared: self.shared.clone() })
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn send(&self, message: &Message<'_>) -> io::Result<()> {
        self.device.send(message)
    }

    /// Ends the connection, whoever still uses it, and with it every worker that waits for a
    /// request. If that fails, each worker ends after its next request.
    pub(crate) fn abort(&self) -> io::Result<()> {
        self.shared.stop();
        abort(self.device.as_fd(), self.shared.connection).map_err(|error| {
            let what = "the filesystem is in use, and its connection cannot be aborted";
            io::Error::new(error.kind(), format!("{what}: {error}"))
        })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// What the workers of one session have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    connection: Option<u32>,
    stopping: AtomicBool,
    any_abandoned: AtomicBool,
    abandoned: Mutex<Vec<Abandoned>>,
    next_retrieval: AtomicU64,
    retrievals: Mutex<HashMap<u64, SyncSender<Vec<u8>>>>,
}

/// What the answer to somebody who no longer wanted it was about: the kernel knows nothing of it,
/// and will never give it back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Abandoned {
    /// An open file or directory, to be released.
    Open { ino: u64, fh: u64, directory: bool },
    /// A lookup of an inode, to be forgotten.
    Lookup { ino: u64 },
}

impl Shared {
    /// Asks the workers to end after the request they are at.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Leaves it to be undone by the next worker that is free.
    pub(crate) fn abandon(&self, what: Abandoned) {
        lock(&self.abandoned).push(what);
        self.any_abandoned.store(true, Ordering::Release);
    }

    /// Whether anything has been abandoned. Locks nothing.
    pub(crate) fn has_abandoned(&self) -> bool {
        self.any_abandoned.load(Ordering::Relaxed)
    }

    /// What has been abandoned since the last call.
    pub(crate) fn take_abandoned(&self) -> Vec<Abandoned> {
        let mut abandoned = lock(&self.abandoned);
        self.any_abandoned.store(false, Ordering::Relaxed);
        std::mem::take(&mut *abandoned)
    }

    /// Announces a retrieval: its number, and where its data will arrive.
    pub(crate) fn expect_retrieval(&self) -> (u64, Receiver<Vec<u8>>) {
        let number = self.next_retrieval.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = sync_channel(1);
        lock(&self.retrievals).insert(number, sender);
        (number, receiver)
    }

    /// Hands the data of a retrieval to whoever waits for it.
    pub(crate) fn retrieved(&self, number: u64, data: &[u8]) {
        if let Some(waiting) = lock(&self.retrievals).remove(&number) {
            // Nobody may be waiting any more.
            let _ = waiting.try_send(data.to_vec());
        }
    }

    /// Forgets a retrieval that will not arrive.
    pub(crate) fn forget_retrieval(&self, number: u64) {
        lock(&self.retrievals).remove(&number);
    }

    /// Lets go of all that waits for the kernel: nothing arrives any more.
    pub(crate) fn end(&self) {
        self.stop();
        lock(&self.retrievals).clear();
    }
}

/// A panic elsewhere leaves these maps as good as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_abandoned_is_taken_once() {
        let shared = Shared::default();
        let open = Abandoned::Open { ino: 1, fh: 2, directory: false };
        let lookup = Abandoned::Lookup { ino: 1 };
        shared.abandon(open);
        shared.abandon(lookup);
        assert_eq!(shared.take_abandoned(), [open, lookup]);
        assert_eq!(shared.take_abandoned(), []);
    }

    #[test]
    fn a_retrieval_finds_its_waiter() {
        let shared = Shared::default();
        let (first, first_data) = shared.expect_retrieval();
        let (second, second_data) = shared.expect_retrieval();
        shared.retrieved(second, b"second");
        shared.retrieved(second, b"again");
        shared.retrieved(first, b"first");
        assert_eq!(first_data.recv().unwrap(), b"first");
        assert_eq!(second_data.recv().unwrap(), b"second");
    }

    #[test]
    fn the_end_wakes_whoever_waits() {
        let shared = Shared::default();
        let (_, data) = shared.expect_retrieval();
        shared.end();
        assert!(data.recv().is_err());
    }
}
