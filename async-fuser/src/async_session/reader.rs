//! Reads requests and polls each where it was read; what waits becomes a task.
//!
//! A reader is a future that goes round: it reads a request, serves it, reads the next. When a
//! request has to wait, that very future becomes its task, and another takes its place as the
//! leader: nothing is moved, and while nothing waits nothing is made.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::{unconstrained, yield_now};
use tokio::time::sleep;

use super::driver::Destroyed;
use super::hub::{Hub, Present};
use super::leader::{Kit, Led, lead};
use crate::serve::Serve;
use crate::session::acl::Acl;
use crate::session::handshake::Agreed;
use crate::transport::{Buffer, Polled, Port, Received};

/// What the readers of a session share.
pub(super) struct Engine<S: Serve> {
    pub(super) fs: Destroyed<S>,
    pub(super) hub: Arc<Hub>,
    pub(super) agreed: Agreed,
    pub(super) acl: Acl,
}

/// The engine as a reader has it. Dropped in this order: who is not present holds nothing any more.
pub(super) struct EngineInUse<S: Serve> {
    engine: Arc<Engine<S>>,
    _present: Present,
}

impl<S: Serve> EngineInUse<S> {
    pub(super) fn new(engine: &Arc<Engine<S>>) -> Self {
        Self { engine: engine.clone(), _present: Present::new(&engine.hub) }
    }
}

/// Has Tokio watch the descriptor of a port. It is given one of its own, so that the port's may be
/// closed under it.
pub(super) fn watched(port: &Port) -> io::Result<AsyncFd<Polled>> {
    let interest = Interest::READABLE | Interest::ERROR;
    #[allow(deprecated, reason = "a `Polled` owns its descriptor; what replaces it needs unsafe")]
    AsyncFd::with_interest(port.device().polled()?, interest)
}

/// Serves what arrives at `port` until the connection is over, or the session is to stop.
pub(super) async fn read_requests<S: Serve>(
    engine: EngineInUse<S>,
    port: Arc<Port>,
    watched: AsyncFd<Polled>,
) -> io::Result<()> {
    // A budget of its own, or methods would find theirs used up by the requests before.
    let reader = Reader::new(engine.engine.clone(), port, Some(watched))?;
    unconstrained(follow(reader, lead::<S>)).await
}

/// As [`read_requests`], on this thread alone, which waits for requests by blocking.
pub(super) fn read_requests_blocking<S: Serve>(
    engine: EngineInUse<S>,
    port: Arc<Port>,
) -> io::Result<()> {
    let runtime = engine.engine.hub.runtime.clone();
    let reader = Reader::new(engine.engine.clone(), port, None)?;
    runtime.block_on(unconstrained(follow(reader, lead::<S>)))
}

/// An end of the connection is told as an error.
const READY: Interest = Interest::READABLE.add(Interest::ERROR);

/// Has one leader after the other read requests. `make` makes one.
async fn follow<S, M, F>(reader: Arc<Reader<S>>, make: M) -> io::Result<()>
where
    S: Serve,
    M: Fn(Kit<S>) -> F,
    F: Future<Output = Led<S>> + Send + 'static,
{
    let spare = Arc::new(Spare::default());
    loop {
        let mut seat = spare.take().unwrap_or_else(Seat::new);
        let kit = seat.kit.take().unwrap_or_else(|| Kit::new(reader.clone()));
        let buffer = reader.buffer().await;
        seat.future.set(Some(make(kit.with_buffer(buffer))));
        let over = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| seat.poll(cx))) {
            Ok(Poll::Ready(over)) => Poll::Ready(over),
            Ok(Poll::Pending) if reader.was_handed_over() => Poll::Ready(None),
            Ok(Poll::Pending) => Poll::Pending,
            // A future panicked while it was dropped. Its request has been answered.
            Err(_) => {
                seat.future.set(None);
                Poll::Ready(None)
            }
        })
        .await;
        if let Some(result) = over {
            return result;
        }
        if seat.future.is_some() {
            reader.engine.hub.runtime.spawn(finish(seat, reader.clone(), spare.clone()));
            // What waits is to get its turn too, before all that the kernel has has been read.
            reader.share().await;
        }
    }
}

/// Serves a request that waits to its end.
#[expect(clippy::manual_async_fn, reason = "what an `async fn` takes it keeps twice")]
fn finish<S: Serve, F>(
    mut seat: Seat<S, F>,
    reader: Arc<Reader<S>>,
    spare: Arc<Spare<Seat<S, F>>>,
) -> impl Future<Output = ()> + Send
where
    F: Future<Output = Led<S>> + Send,
{
    async move {
        poll_fn(|cx| seat.poll(cx)).await;
        reader.give_back(seat.kit.as_mut().and_then(Kit::take_buffer));
        spare.give(seat, reader.engine.hub.waiting());
    }
}

/// A place for a leader, and what it needs beside its request. Both are used again.
struct Seat<S: Serve, F> {
    future: Pin<Box<Option<F>>>,
    /// In the future while that is at work.
    kit: Option<Kit<S>>,
}

impl<S: Serve, F: Future<Output = Led<S>>> Seat<S, F> {
    fn new() -> Self {
        Self { future: Box::pin(None), kit: None }
    }

    /// Goes on with it. Ready with the result if the connection is over, and with none when the
    /// request that waited has been served.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<()>>> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Poll::Ready(led) = future.poll(cx) else { return Poll::Pending };
        self.future.set(None);
        Poll::Ready(match led {
            Led::Served(kit) => {
                self.kit = Some(kit);
                None
            }
            Led::Over(result) => Some(result),
        })
    }
}

/// What one leader after the other reads from.
pub(super) struct Reader<S: Serve> {
    pub(super) engine: Arc<Engine<S>>,
    pub(super) port: Arc<Port>,
    /// `None` where waiting is by blocking.
    polled: Option<AsyncFd<Polled>>,
    /// Whether other threads can take over reading.
    pub(super) has_others: bool,
    /// How many requests the leader may still read before other tasks get their turn. That it is
    /// exact is not needed, and so no order.
    budget: AtomicU32,
    /// Whether the leader's request waits, so that there has to be another leader.
    handed_over: AtomicBool,
    buffers: Mutex<Vec<Buffer>>,
}

impl<S: Serve> Reader<S> {
    fn new(
        engine: Arc<Engine<S>>,
        port: Arc<Port>,
        polled: Option<AsyncFd<Polled>>,
    ) -> io::Result<Arc<Self>> {
        let first = Buffer::new(engine.agreed.largest_request())?;
        let has_others = polled.is_some() && engine.hub.runtime.metrics().num_workers() > 1;
        Ok(Arc::new(Self {
            engine,
            port,
            polled,
            has_others,
            budget: AtomicU32::new(BUDGET),
            handed_over: AtomicBool::new(false),
            buffers: Mutex::new(vec![first]),
        }))
    }

    /// Waits for a request and reads it. `None` if the connection is over or the session is to
    /// stop.
    #[inline]
    pub(super) async fn next(&self, buffer: &mut Buffer) -> io::Result<Option<usize>> {
        let hub = &self.engine.hub;
        loop {
            if self.port.shared().is_stopping() {
                return Ok(None);
            }
            if !hub.has_room() {
                self.room_or_end().await?;
                if self.port.shared().is_stopping() {
                    return Ok(None);
                }
            }
            let received = match &self.polled {
                None => {
                    let received = self.port.device().receive(buffer.as_mut_bytes())?;
                    hub.tick();
                    received
                }
                Some(polled) => {
                    let mut read = || {
                        let received = self.port.device().try_receive(buffer.as_mut_bytes())?;
                        received.ok_or_else(|| io::ErrorKind::WouldBlock.into())
                    };
                    match polled.try_io(Interest::READABLE, |_| read()) {
                        Ok(received) => received,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            hub.tick();
                            let mut ready = polled.ready(READY).await?;
                            hub.tick();
                            self.budget.store(BUDGET, Ordering::Relaxed);
                            // An end that is told as an error alone is seen by reading, too.
                            match ready.try_io(|_| read()) {
                                Ok(received) => received?,
                                Err(_would_block) => continue,
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            return Ok(match received {
                Received::Request(len) => Some(len),
                Received::End => None,
            });
        }
    }

    /// Whether a task may read beside the leader: while others wait, and nobody needs to be asked
    /// whether there is room.
    pub(super) fn may_read_beside(&self) -> bool {
        const OTHERS: usize = 8;
        let hub = &self.engine.hub;
        // A thread is in the kernel already where waiting is by blocking.
        self.polled.is_some()
            && !self.port.shared().is_stopping()
            && hub.waiting() >= OTHERS
            && hub.has_plenty()
    }

    /// Reads a request, if one has come.
    pub(super) fn next_now(&self, buffer: &mut Buffer) -> Option<usize> {
        match self.port.device().try_receive(buffer.as_mut_bytes()) {
            Ok(Some(Received::Request(len))) => {
                // The leader need not read it: the more wait, the less it reads.
                self.spend();
                Some(len)
            }
            // The end is there for the reader, too.
            Ok(None | Some(Received::End)) => None,
            Err(error) => {
                log::error!("no request could be read: {error}");
                None
            }
        }
    }

    /// Waits until there is room for a request; those who wait may do so until the connection is
    /// over.
    #[cold]
    async fn room_or_end(&self) -> io::Result<()> {
        let room = self.engine.hub.wait_for_room();
        let Some(polled) = &self.polled else {
            room.await;
            return Ok(());
        };
        tokio::select! {
            () = room => Ok(()),
            over = polled.ready(Interest::ERROR) => over.map(drop),
        }
    }

    /// Lets other tasks have their turn now and then.
    #[inline]
    pub(super) async fn share(&self) {
        if self.spend() == 0 {
            self.budget.store(BUDGET, Ordering::Relaxed);
            if self.polled.is_some() {
                yield_now().await;
            }
        }
    }

    /// Takes one off the budget. Returns what it was.
    #[inline]
    fn spend(&self) -> u32 {
        let budget = self.budget.load(Ordering::Relaxed);
        if budget % TICK == 0 {
            self.engine.hub.tick();
        }
        self.budget.store(budget.saturating_sub(1), Ordering::Relaxed);
        budget
    }

    /// The leader's request waits: another is to lead, with this buffer unless the request is in
    /// it.
    #[cold]
    pub(super) fn hand_over(&self, buffer: Option<Buffer>) {
        self.buffers().extend(buffer);
        self.handed_over.store(true, Ordering::Relaxed);
    }

    fn was_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Relaxed) && self.handed_over.swap(false, Ordering::Relaxed)
    }

    /// A buffer that is not in use.
    async fn buffer(&self) -> Buffer {
        const WAIT: Duration = Duration::from_millis(50);
        loop {
            match self.buffer_now() {
                Ok(buffer) => return buffer,
                // Somebody may give one back.
                Err(error) => log::error!("no memory for another request: {error}"),
            }
            sleep(WAIT).await;
        }
    }

    /// A buffer that is not in use, if there is memory for one.
    pub(super) fn buffer_now(&self) -> io::Result<Buffer> {
        let spare = self.buffers().pop();
        spare.map_or_else(|| Buffer::new(self.engine.agreed.largest_request()), Ok)
    }

    pub(super) fn give_back(&self, buffer: Option<Buffer>) {
        const KEPT: usize = 4;
        let mut buffers = self.buffers();
        if buffers.len() < KEPT {
            buffers.extend(buffer);
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Buffer>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many requests are served before other tasks get their turn.
const BUDGET: u32 = 128;
/// How many requests are served between two looks at the clock.
const TICK: u32 = 16;

/// Seats whose requests have been served, for the next ones that wait.
struct Spare<T>(Mutex<Vec<T>>);

impl<T> Spare<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps as many as are in use: so many more may come at once. Of those that are too many two
    /// go for each that comes, so that none is too many when all is quiet.
    fn give(&self, one: T, in_use: usize) {
        const KEPT: usize = 1024;
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(one);
        let most = in_use.max(KEPT);
        let surplus = [(); 2].map(|()| if spare.len() > most { spare.pop() } else { None });
        drop(spare);
        drop(surplus);
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_spare_as_were_in_use_and_few_in_the_end() {
        let spare = Spare::default();
        let mut most = 0;
        for in_use in (0..10_000).rev() {
            spare.give((), in_use);
            let len = spare.0.lock().unwrap().len();
            most = most.max(len);
            assert!(len <= in_use.max(1024) + 1, "{len} while {in_use} are in use");
        }
        assert_eq!((most, spare.0.lock().unwrap().len()), (5000, 1024));
    }
}
