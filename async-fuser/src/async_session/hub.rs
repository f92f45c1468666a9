//! What all requests of a session have in common.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::flight::{Flight, clock};
use super::in_flight::InFlight;
use crate::op::Operations;

/// What all requests of a session have in common.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) runtime: Handle,
    pub(crate) limits: Limits,
    registry: Mutex<Registry>,
    /// Requests that wait, and the bytes they hold.
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    /// How many readers stand still until there is room.
    standing: AtomicUsize,
    room: Notify,
    /// The time, of a while ago.
    now: AtomicU64,
    /// How many hold on to the filesystem.
    present: AtomicUsize,
    all_gone: Notify,
    /// What a floor above keeps for the session.
    local: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// How much may go on at the same time, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
    /// By the row of the operation.
    pub(crate) deadlines: [Option<Duration>; Operations::COUNT],
}

#[derive(Debug, Default)]
struct Registry {
    /// The requests that wait, by their numbers.
    waiting: HashMap<u64, Arc<Flight>, BuildHasherDefault<UniqueHasher>>,
    /// Interrupts of requests that are not waiting: they have been answered, or another reader
    /// has just read them.
    early: VecDeque<u64>,
    /// Every flight there is, whether it is used or not.
    flights: Vec<Weak<Flight>>,
    /// Nothing is to wait any more.
    is_ending: bool,
}

impl Hub {
    pub(crate) fn new(runtime: Handle, limits: Limits) -> Self {
        Self {
            runtime,
            limits,
            registry: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            standing: AtomicUsize::new(0),
            room: Notify::new(),
            now: AtomicU64::new(clock()),
            present: AtomicUsize::new(0),
            all_gone: Notify::new(),
            local: OnceLock::new(),
        }
    }

    /// Looks at the clock. A reader does so before it waits, behind that, and every few requests.
    pub(super) fn tick(&self) {
        self.now.store(clock(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// A request begins to wait, which holds so many bytes.
    pub(super) fn enter(&self, flight: &Arc<Flight>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_add(flight.weight(), Ordering::Relaxed);
        let mut registry = self.registry();
        if let Some(at) = registry.early.iter().position(|unique| *unique == flight.unique()) {
            registry.early.remove(at);
            flight.interrupt();
        }
        if registry.is_ending {
            flight.end();
        }
        registry.waiting.insert(flight.unique(), flight.clone());
    }

    /// A request no longer waits.
    pub(super) fn leave(&self, flight: &Flight) {
        self.registry().waiting.remove(&flight.unique());
        self.waiting_bytes.fetch_sub(flight.weight(), Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.standing.load(Ordering::SeqCst) > 0 {
            self.room.notify_waiters();
        }
    }

    /// The caller of this request got a signal.
    pub(super) fn interrupt(&self, unique: u64) {
        const KEPT: usize = 64;
        let mut registry = self.registry();
        if let Some(flight) = registry.waiting.get(&unique).cloned() {
            drop(registry);
            return flight.interrupt();
        }
        if registry.early.len() == KEPT {
            registry.early.pop_front();
        }
        registry.early.push_back(unique);
    }

    /// Ends every request that waits, whatever it says, and every one that is about to.
    pub(crate) fn end_all(&self) {
        let mut registry = self.registry();
        registry.is_ending = true;
        let flights: Vec<_> = registry.waiting.values().cloned().collect();
        drop(registry);
        for flight in flights {
            flight.end();
        }
    }

    /// Whether another request may be read.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.limits.requests
            && self.waiting_bytes.load(Ordering::Relaxed) < self.limits.bytes
    }

    /// Waits until another request may be read.
    #[cold]
    pub(super) async fn wait_for_room(&self) {
        let _standing = Standing::new(&self.standing);
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            // From here on no notification is missed.
            room.as_mut().enable();
            if self.waiting.load(Ordering::SeqCst) < self.limits.requests && self.has_room() {
                return;
            }
            room.await;
        }
    }

    /// Has a flight listed from now on.
    pub(super) fn list(&self, flight: &Arc<Flight>) {
        let mut registry = self.registry();
        if registry.flights.len() == registry.flights.capacity() {
            registry.flights.retain(|flight| flight.strong_count() > 0);
        }
        registry.flights.push(Arc::downgrade(flight));
    }

    /// Every request that was read and not answered, the oldest first.
    pub(crate) fn in_flight(&self) -> Vec<InFlight> {
        let flights = self.registry().flights.clone();
        let mut listed: Vec<_> =
            flights.iter().filter_map(Weak::upgrade).filter_map(|flight| flight.listed()).collect();
        listed.sort_by_key(|request| std::cmp::Reverse(request.age()));
        listed
    }

    /// The one value that is kept for the session; `None` if it is of another type.
    pub(super) fn local<T: Any + Default + Send + Sync>(&self) -> Option<Arc<T>> {
        self.local.get_or_init(|| Arc::<T>::default()).clone().downcast().ok()
    }

    /// Whether nobody holds on to the filesystem.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.load(Ordering::SeqCst) == 0
    }

    /// Waits until nobody holds on to the filesystem.
    pub(crate) async fn gone(&self) {
        loop {
            let gone = self.all_gone.notified();
            let mut gone = std::pin::pin!(gone);
            gone.as_mut().enable();
            if self.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// A panic elsewhere leaves the registry as good as it was.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that stands still.
struct Standing<'a>(&'a AtomicUsize);

impl<'a> Standing<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Somebody who holds on to the filesystem. Dropped after what it holds.
#[derive(Debug)]
pub(super) struct Present(Arc<Hub>);

impl Present {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        hub.present.fetch_add(1, Ordering::SeqCst);
        Self(hub.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if self.0.present.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.all_gone.notify_waiters();
        }
    }
}

/// Scatters the kernel's numbers, which count upwards in twos.
#[derive(Debug, Default)]
struct UniqueHasher(u64);

impl Hasher for UniqueHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (self.0 ^ number).wrapping_mul(GOLDEN);
        self.0 = mixed ^ mixed >> 32;
    }
}
