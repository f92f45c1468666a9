//! Reads requests and polls each where it was read; what waits becomes a task.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::yield_now;

use super::driver::Destroyed;
use super::hub::Hub;
use super::request::{Kit, serve_request};
use crate::op::Opcode;
use crate::serve::Serve;
use crate::session::acl::Acl;
use crate::session::handshake::Agreed;
use crate::session::incoming::{arguments, control};
use crate::transport::{Buffer, Polled, Port, Received};

/// What the readers of a session share.
pub(super) struct Engine<S: Serve> {
    pub(super) fs: Arc<Destroyed<S>>,
    pub(super) hub: Arc<Hub>,
    pub(super) agreed: Agreed,
    pub(super) acl: Acl,
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
    engine: Arc<Engine<S>>,
    port: Arc<Port>,
    watched: AsyncFd<Polled>,
) -> io::Result<()> {
    Reader::new(&engine, port, serve_request::<S>).read_as_task(&watched).await
}

/// As [`read_requests`], on this thread alone, which waits for requests by blocking.
pub(super) fn read_requests_blocking<S: Serve>(
    engine: &Engine<S>,
    port: Arc<Port>,
) -> io::Result<()> {
    Reader::new(engine, port, serve_request::<S>).read_as_thread()
}

/// One reader: the buffer it reads into, and a place for the future of the request it is at.
struct Reader<'a, S: Serve, M, F> {
    engine: &'a Engine<S>,
    port: Arc<Port>,
    /// Makes the future that serves a request.
    make: M,
    buffer: Buffer,
    at_hand: Option<Seat<S, F>>,
    spare: Arc<Spare<Seat<S, F>>>,
}

/// A place for the future of a request, and what serving it takes. Both are used again.
struct Seat<S: Serve, F> {
    future: Pin<Box<Option<F>>>,
    /// In the future while that is at work.
    kit: Option<Kit<S>>,
}

/// How many requests are served before other tasks get their turn.
const BUDGET: u32 = 128;

impl<'a, S, M, F> Reader<'a, S, M, F>
where
    S: Serve,
    M: Fn(Kit<S>) -> F,
    F: Future<Output = Kit<S>> + Send + 'static,
{
    fn new(engine: &'a Engine<S>, port: Arc<Port>, make: M) -> Self {
        let buffer = Buffer::new(engine.agreed.largest_request());
        Self { engine, port, make, buffer, at_hand: None, spare: Arc::default() }
    }

    async fn read_as_task(mut self, polled: &AsyncFd<Polled>) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            let mut ready = polled.ready(interest).await?;
            let mut budget = BUDGET;
            loop {
                if self.port.shared().is_stopping() {
                    return Ok(());
                }
                if !self.engine.hub.has_room() {
                    // Who waits may do so until the connection is over.
                    tokio::select! {
                        () = self.engine.hub.wait_for_room() => {}
                        over = polled.ready(Interest::ERROR) => drop(over?),
                    }
                }
                match self.port.device().try_receive(self.buffer.as_mut_bytes())? {
                    Some(Received::Request(len)) => self.take(len),
                    Some(Received::End) => return Ok(()),
                    None => {
                        ready.clear_ready();
                        break;
                    }
                }
                budget -= 1;
                if budget == 0 {
                    yield_now().await;
                    budget = BUDGET;
                }
            }
        }
    }

    fn read_as_thread(mut self) -> io::Result<()> {
        let hub = self.engine.hub.clone();
        // Methods find the runtime from here.
        let _entered = hub.runtime.enter();
        while !self.port.shared().is_stopping() {
            if !hub.has_room() {
                hub.runtime.block_on(hub.wait_for_room());
            }
            match self.port.device().receive(self.buffer.as_mut_bytes())? {
                Received::Request(len) => self.take(len),
                Received::End => break,
            }
        }
        Ok(())
    }

    /// Serves the request of so many bytes in the buffer.
    #[inline]
    fn take(&mut self, len: usize) {
        let Some(args) = arguments(&self.buffer.as_bytes()[..len], self.engine.agreed.dialect)
        else {
            return;
        };
        if Opcode(args.req().opcode()) == Opcode::INTERRUPT {
            let hub = &self.engine.hub;
            return control(args, &self.port, |_, unique| hub.interrupt(unique.0));
        }
        let mut seat = self
            .at_hand
            .take()
            .or_else(|| self.spare.take())
            .unwrap_or_else(|| Seat { future: Box::pin(None), kit: None });
        let mut kit = seat.kit.take().unwrap_or_else(|| self.kit());
        kit.load(&mut self.buffer, len);
        let took_buffer = kit.has_buffer();
        seat.future.set(Some((self.make)(kit)));
        let mut cx = Context::from_waker(Waker::noop());
        match catch_unwind(AssertUnwindSafe(|| seat.poll(&mut cx))) {
            Ok(Poll::Ready(())) => {
                if let Some(buffer) = seat.kit.as_mut().and_then(Kit::unload) {
                    self.buffer = buffer;
                }
                self.at_hand = Some(seat);
            }
            Ok(Poll::Pending) => {
                if took_buffer {
                    self.buffer = Buffer::new(self.engine.agreed.largest_request());
                }
                let spare = self.spare.clone();
                self.engine.hub.runtime.spawn(async move {
                    std::future::poll_fn(|cx| seat.poll(cx)).await;
                    if let Some(kit) = &mut seat.kit {
                        kit.unload();
                    }
                    spare.give(seat);
                });
            }
            // A future that panics while it is dropped. Its request has been answered.
            Err(_) => {
                if took_buffer {
                    self.buffer = Buffer::new(self.engine.agreed.largest_request());
                }
            }
        }
    }

    #[cold]
    fn kit(&self) -> Kit<S> {
        let Engine { fs, hub, agreed, acl } = self.engine;
        Kit::new(fs.clone(), self.port.clone(), agreed.dialect, *acl, hub)
    }
}

impl<S: Serve, F: Future<Output = Kit<S>>> Seat<S, F> {
    /// Goes on with the request, and takes its kit back when it has been served.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        match future.poll(cx) {
            Poll::Ready(kit) => {
                self.future.set(None);
                self.kit = Some(kit);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Seats whose requests have been served, for the next ones that come while others wait.
struct Spare<T>(Mutex<Vec<T>>);

impl<T> Spare<T> {
    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, one: T) {
        const KEPT: usize = 1024;
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(one);
        }
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
