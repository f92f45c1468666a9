//! What all requests of a session have in common.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::flight::{Flight, clock};
use super::in_flight::InFlight;
use crate::op::Operations;

/// What all requests of a session have in common.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) runtime: Handle,
    pub(crate) limits: Limits,
    /// One for each notification that may be under way.
    pub(super) places: Arc<Semaphore>,
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

/// How many notifications may be under way at the same time.
const NOTIFICATIONS: usize = 64;

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
    /// Those that the session has made up itself, and that have no number.
    unnumbered: Vec<Arc<Flight>>,
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
            places: Arc::new(Semaphore::new(NOTIFICATIONS)),
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
        match flight.unique() {
            0 => registry.unnumbered.push(flight.clone()),
            unique => drop(registry.waiting.insert(unique, flight.clone())),
        }
    }

    /// A request no longer waits.
    pub(super) fn leave(&self, flight: &Flight) {
        let mut registry = self.registry();
        match flight.unique() {
            0 => registry.unnumbered.retain(|other| !ptr::eq(&**other, flight)),
            unique => drop(registry.waiting.remove(&unique)),
        }
        drop(registry);
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
        let flights: Vec<_> =
            registry.waiting.values().chain(&registry.unnumbered).cloned().collect();
        drop(registry);
        for flight in flights {
            flight.end();
        }
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether another request may be read.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < self.limits.requests
            && self.waiting_bytes.load(Ordering::Relaxed) < self.limits.bytes
    }

    /// Whether so many may be read that several readers may do so without a look at each other.
    pub(super) fn has_plenty(&self) -> bool {
        const PLENTY: usize = 64;
        self.waiting() + PLENTY < self.limits.requests
            && self.waiting_bytes.load(Ordering::Relaxed) < self.limits.bytes / 2
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::runtime::{Builder, Runtime};
    use zerocopy::{FromBytes, IntoBytes};

    use super::super::flight::Wish;
    use super::*;
    use crate::abi::fuse_in_header;
    use crate::notifier::Notifier;
    use crate::transport::{Device, Port};
    use crate::types::Request;

    fn hub(requests: usize, bytes: usize) -> (Runtime, Arc<Hub>) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let limits = Limits { requests, bytes, deadlines: [None; Operations::COUNT] };
        let hub = Arc::new(Hub::new(runtime.handle().clone(), limits));
        (runtime, hub)
    }

    fn flight(hub: &Arc<Hub>, unique: u64) -> Arc<Flight> {
        let device = Device::new(File::open("/dev/null").unwrap().into());
        let port = Arc::new(Port::new(device, None));
        let flight = Arc::new(Flight::new(hub.clone(), Notifier::new(&port)));
        let header = fuse_in_header { unique, opcode: 15, ..Default::default() };
        flight.begin(Request::ref_from_bytes(header.as_bytes()).unwrap());
        flight
    }

    /// Whether a future is ready, and whether it was woken meanwhile.
    struct Polls<F>(Pin<Box<F>>, Arc<Woken>);

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    impl<F: Future<Output = ()>> Polls<F> {
        fn new(future: F) -> Self {
            Self(Box::pin(future), Arc::default())
        }

        fn is_ready(&mut self) -> bool {
            self.1.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(self.1.clone());
            self.0.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
        }

        fn was_woken(&self) -> bool {
            self.1.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn an_early_interrupt_finds_its_request_once() {
        let (_runtime, hub) = hub(9, 9);
        hub.interrupt(2);
        hub.interrupt(4);
        let flights = [2, 6, 4, 2].map(|unique| flight(&hub, unique));
        let waiting = flights.each_ref().map(|flight| flight.wait(0));
        let wishes = flights.each_ref().map(|flight| flight.wish());
        assert_eq!(wishes, [Wish::Interrupted, Wish::None, Wish::Interrupted, Wish::None]);
        drop(waiting);
    }

    #[test]
    fn early_interrupts_are_kept_in_a_bounded_number() {
        let (_runtime, hub) = hub(9, 9);
        for unique in 0..1000 {
            hub.interrupt(unique);
        }
        assert_eq!(hub.registry().early.len(), 64);
        let [old, new] = [935, 936].map(|unique| flight(&hub, unique));
        let _waiting = [old.wait(0), new.wait(0)];
        assert_eq!([old.wish(), new.wish()], [Wish::None, Wish::Interrupted]);
    }

    #[test]
    fn an_interrupt_finds_what_waits_and_nothing_else() {
        let (_runtime, hub) = hub(9, 9);
        let [one, other] = [2, 4].map(|unique| flight(&hub, unique));
        let waiting = [one.wait(0), other.wait(0)];
        hub.interrupt(4);
        assert_eq!([one.wish(), other.wish()], [Wish::None, Wish::Interrupted]);
        assert!(hub.registry().early.is_empty());
        drop(waiting);
        hub.interrupt(2);
        assert_eq!(one.wish(), Wish::None);
    }

    #[test]
    fn the_end_is_of_all_that_wait_and_of_what_begins_to() {
        let (_runtime, hub) = hub(9, 9);
        let [one, other, late] = [2, 4, 6].map(|unique| flight(&hub, unique));
        let _waiting = [one.wait(0), other.wait(0)];
        hub.interrupt(2);
        hub.end_all();
        let _late = late.wait(0);
        assert_eq!([one.wish(), other.wish(), late.wish()], [Wish::End; 3]);
        // Who is told of the end is not told of less.
        hub.interrupt(4);
        assert_eq!(other.wish(), Wish::End);
    }

    #[test]
    fn there_is_room_below_both_limits() {
        let (_runtime, hub) = hub(2, 100);
        let [one, other] = [2, 4].map(|unique| flight(&hub, unique));
        let first = one.wait(99);
        assert!(hub.has_room());
        let second = other.wait(0);
        assert!(!hub.has_room(), "two of two");
        drop(second);
        let second = other.wait(1);
        drop(first);
        assert!(hub.has_room());
        let first = one.wait(1000);
        assert!(!hub.has_room());
        drop((first, second));
        assert!(hub.has_room());
    }

    #[test]
    fn whoever_waits_for_room_is_woken_by_it() {
        let (_runtime, hub) = hub(1, 100);
        let one = flight(&hub, 2);
        let waiting = one.wait(0);
        let mut first = Polls::new(hub.wait_for_room());
        let mut second = Polls::new(hub.wait_for_room());
        assert!(!first.is_ready() && !second.is_ready());
        assert!(!first.was_woken() && !second.was_woken());
        drop(waiting);
        assert!(first.was_woken() && second.was_woken());
        assert!(first.is_ready());
        // The first has taken the room, and has gone; the second still waits, and is woken again.
        let waiting = one.wait(0);
        assert!(!second.is_ready());
        drop(waiting);
        assert!(second.was_woken() && second.is_ready());
        assert_eq!(hub.standing.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_last_to_go_is_waited_for() {
        let (_runtime, hub) = hub(9, 9);
        assert!(hub.is_empty() && Polls::new(hub.gone()).is_ready());
        let [one, other] = [Present::new(&hub), Present::new(&hub)];
        let mut gone = Polls::new(hub.gone());
        assert!(!gone.is_ready());
        drop(one);
        assert!(!gone.was_woken() && !gone.is_ready() && !hub.is_empty());
        drop(other);
        assert!(gone.was_woken() && gone.is_ready() && hub.is_empty());
    }

    #[test]
    fn what_is_listed_was_read_and_not_answered() {
        let (_runtime, hub) = hub(9, 9);
        let flights = [2, 4, 6].map(|unique| flight(&hub, unique));
        flights.iter().for_each(|flight| hub.list(flight));
        flights[1].land();
        let listed: Vec<_> = hub.in_flight().iter().map(|request| request.unique().0).collect();
        assert_eq!(listed, [2, 6]);
        drop(flights);
        assert!(hub.in_flight().is_empty());
    }
}
