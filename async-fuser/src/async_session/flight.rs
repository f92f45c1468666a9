//! One request on its way, as others see it: who cancels it, what it still wants sent.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

use super::hub::Hub;
use super::in_flight::InFlight;
use super::notifier::Deferred;
use crate::notifier::Notifier;
use crate::op::Opcode;
use crate::types::Request;

/// One request on its way. It is used again for the next one, as long as nobody else kept it.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(super) hub: Arc<Hub>,
    pub(super) notifier: Notifier,
    unique: AtomicU64,
    ino: AtomicU64,
    opcode: AtomicU32,
    pid: AtomicU32,
    /// When it was read, in nanoseconds; 0 for none.
    since: AtomicU64,
    weight: AtomicUsize,
    is_waiting: AtomicBool,
    /// Sections that must not be torn, and sections that may be, that the method is in.
    pub(super) shields: AtomicU32,
    pub(super) openings: AtomicU32,
    wish: AtomicU32,
    wished: Notify,
    has_deferred: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    deferred: Vec<Deferred>,
}

/// What became of a request's right to go on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Wish {
    /// Somebody waits for the answer.
    None,
    /// Its caller would rather not wait.
    Interrupted,
    /// The session ends.
    End,
}

impl Flight {
    pub(super) fn new(hub: Arc<Hub>, notifier: Notifier) -> Self {
        Self {
            hub,
            notifier,
            unique: AtomicU64::new(0),
            ino: AtomicU64::new(0),
            opcode: AtomicU32::new(0),
            pid: AtomicU32::new(0),
            since: AtomicU64::new(0),
            weight: AtomicUsize::new(0),
            is_waiting: AtomicBool::new(false),
            shields: AtomicU32::new(0),
            openings: AtomicU32::new(0),
            wish: AtomicU32::new(Wish::None as u32),
            wished: Notify::new(),
            has_deferred: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A request begins. Only for a flight that nobody else has: the stores need no order.
    #[inline]
    pub(super) fn begin(&self, req: &Request) {
        self.unique.store(req.unique().0, Ordering::Relaxed);
        self.ino.store(req.node().0, Ordering::Relaxed);
        self.opcode.store(req.opcode(), Ordering::Relaxed);
        self.pid.store(req.pid(), Ordering::Relaxed);
        self.since.store(self.hub.now(), Ordering::Relaxed);
        if self.is_waiting() {
            self.is_waiting.store(false, Ordering::Relaxed);
            self.wish.store(Wish::None as u32, Ordering::Relaxed);
            self.state().waker = None;
        }
    }

    /// It has been answered.
    #[inline]
    pub(super) fn land(&self) {
        self.since.store(0, Ordering::Relaxed);
        if self.is_waiting() {
            // It would keep a task that has ended.
            self.state().waker = None;
        }
        if self.has_deferred.load(Ordering::Relaxed) {
            self.has_deferred.store(false, Ordering::Relaxed);
            let deferred = mem::take(&mut self.state().deferred);
            self.send_aside(deferred);
        }
    }

    #[cold]
    fn send_aside(&self, deferred: Vec<Deferred>) {
        self.hub.runtime.spawn(Deferred::send_all(deferred, self.hub.places.clone()));
    }

    pub(super) fn unique(&self) -> u64 {
        self.unique.load(Ordering::Relaxed)
    }

    pub(super) fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }

    /// Whether it has become a task.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    /// It becomes a task, and holds so many bytes.
    pub(super) fn wait(self: &Arc<Self>, weight: usize) -> Waiting {
        self.weight.store(weight, Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
        self.hub.enter(self);
        Waiting(self.clone())
    }

    /// Has the task woken when it is cancelled.
    pub(super) fn wake_by(&self, waker: &Waker) {
        let mut state = self.state();
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    pub(super) fn interrupt(&self) {
        self.set(Wish::Interrupted);
    }

    /// Ends it, whatever it says.
    pub(super) fn end(&self) {
        self.set(Wish::End);
    }

    fn set(&self, wish: Wish) {
        self.wish.fetch_max(wish as u32, Ordering::SeqCst);
        self.wished.notify_waiters();
        let waker = self.state().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[inline]
    pub(super) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::SeqCst) {
            0 => Wish::None,
            1 => Wish::Interrupted,
            _ => Wish::End,
        }
    }

    /// Waits until somebody wishes that it ends.
    pub(super) async fn wished(&self) {
        loop {
            let wished = self.wished.notified();
            let mut wished = std::pin::pin!(wished);
            wished.as_mut().enable();
            if self.wish() > Wish::None {
                return;
            }
            wished.await;
        }
    }

    /// Keeps a notification until the answer is on its way.
    pub(super) fn defer(&self, notification: Deferred) {
        self.state().deferred.push(notification);
        self.has_deferred.store(true, Ordering::Relaxed);
    }

    pub(super) fn listed(&self) -> Option<InFlight> {
        let since = self.since.load(Ordering::Relaxed);
        (since != 0).then(|| InFlight {
            unique: self.unique(),
            opcode: Opcode(self.opcode.load(Ordering::Relaxed)),
            ino: self.ino.load(Ordering::Relaxed),
            pid: self.pid.load(Ordering::Relaxed),
            age: Duration::from_nanos(clock().saturating_sub(since)),
            interrupted: self.wish() > Wish::None,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits, and can be found by its number.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Flight>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.hub.leave(&self.0);
    }
}

thread_local! {
    static CURRENT: Cell<Option<Arc<Flight>>> = const { Cell::new(None) };
}

/// The request whose method this thread is polling.
pub(super) fn current() -> Option<Arc<Flight>> {
    CURRENT
        .try_with(|current| {
            let flight = current.take();
            current.set(flight.clone());
            flight
        })
        .ok()
        .flatten()
}

/// What is kept for the session whose method this thread is polling.
pub(crate) fn session_local<T: Any + Default + Send + Sync>() -> Option<Arc<T>> {
    current()?.hub.local()
}

/// Has `flight` be the current one while `call` runs, which must not panic.
#[inline]
pub(super) fn as_current<T>(flight: &mut Option<Arc<Flight>>, call: impl FnOnce() -> T) -> T {
    // A thread that is ending has none.
    let enter = |flight: Option<Arc<Flight>>| CURRENT.try_with(|current| current.replace(flight));
    let Ok(outer) = enter(flight.take()) else { return call() };
    let result = call();
    *flight = enter(outer).ok().flatten();
    result
}

/// Nanoseconds since some time, to a few milliseconds. Never 0.
pub(super) fn clock() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    let now = clock_gettime(CLOCK).unwrap_or(TimeSpec::new(0, 0));
    (now.tv_sec() as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec() as u64).max(1)
}
