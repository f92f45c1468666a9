//! The future that reads requests and serves them, one after the other, until one has to wait; and
//! from then on those that have come whenever one is done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use zerocopy::IntoBytes;

use super::flight::Flight;
use super::hub::Present;
use super::reader::Reader;
use super::request::{Serving, serve_request, undo_abandoned};
use crate::notifier::Notifier;
use crate::serve::Serve;
use crate::transport::Buffer;

/// What a leader needs. It is used again by another, when the request it waited with is served.
pub(super) struct Kit<S: Serve> {
    reader: Arc<Reader<S>>,
    /// Its buffer is read into by the leader. With a large request in it, it stays with that.
    serving: Serving,
    /// A copy of a small request, so that one that waits holds no more than it needs.
    small: Vec<u64>,
    // Dropped last.
    _present: Present,
}

/// What a leader came to.
pub(super) enum Led<S: Serve> {
    /// The request that it had to wait with has been served.
    Served(Kit<S>),
    /// The connection is over, or the session is to stop.
    Over(io::Result<()>),
}

impl<S: Serve> Kit<S> {
    pub(super) fn new(reader: Arc<Reader<S>>) -> Self {
        let present = Present::new(&reader.engine.hub);
        Self { reader, serving: Serving::default(), small: Vec::new(), _present: present }
    }

    pub(super) fn with_buffer(mut self, buffer: Buffer) -> Self {
        self.serving.buffer = Some(buffer);
        self
    }

    pub(super) fn take_buffer(&mut self) -> Option<Buffer> {
        self.serving.buffer.take()
    }

    /// Reads a request that has come already, on a task that has served one.
    ///
    /// Its caller would otherwise stand behind all tasks that are ready before the reader is; and
    /// it takes no task of its own. While others wait, that is: there is none, most of the time,
    /// where callers are few.
    fn next_now(&mut self) -> Option<usize> {
        let Self { reader, serving, .. } = self;
        // Of what is ready at once there may be no end.
        if !serving.waits || !reader.may_read_beside() {
            return None;
        }
        if serving.buffer.is_none() {
            serving.buffer = reader.buffer_now().ok();
        }
        reader.next_now(serving.buffer.as_mut()?)
    }

    /// The request has been answered.
    #[inline]
    fn land(&self) {
        if let Some(flight) = &self.serving.flight {
            flight.land();
        }
    }
}

/// What is copied rather than kept where it was read: nearly everything but the data of writes.
const SMALL: usize = 8192;

/// Reads requests and serves them, until one has to wait; then that one, and those that have come
/// when it is done, until there is none.
#[expect(clippy::manual_async_fn, reason = "what an `async fn` takes it keeps twice")]
pub(super) fn lead<S: Serve>(mut kit: Kit<S>) -> impl Future<Output = Led<S>> + Send {
    async move {
        kit.serving.has_waited = false;
        loop {
            let len = if kit.serving.has_waited {
                let Some(len) = kit.next_now() else { return Led::Served(kit) };
                len
            } else {
                let Some(buffer) = &mut kit.serving.buffer else { return Led::Over(Err(lost())) };
                match kit.reader.next(buffer).await {
                    Ok(Some(len)) => len,
                    Ok(None) => return Led::Over(Ok(())),
                    Err(error) => return Led::Over(Err(error)),
                }
            };
            let Some(buffer) = &kit.serving.buffer else { return Led::Over(Err(lost())) };
            let large;
            // A small request leaves the buffer to whoever leads next.
            let request = if len <= SMALL {
                copy(&buffer.as_bytes()[..len], &mut kit.small);
                large = None;
                kit.small.as_bytes()
            } else {
                large = kit.serving.buffer.take();
                large.as_ref().map_or(&[][..], Buffer::as_bytes)
            };
            let Some(request) = request.get(..len) else { return Led::Over(Ok(())) };
            own_flight(&mut kit.serving.flight, &kit.reader);
            kit.serving.waits = false;
            serve_request(&kit.reader, request, &mut kit.serving).await;
            if kit.reader.port.shared().has_abandoned() {
                // What is made up is a request of its own.
                kit.land();
                own_flight(&mut kit.serving.flight, &kit.reader);
                undo_abandoned(&kit.reader, &mut kit.serving).await;
            }
            kit.land();
            if large.is_some() {
                kit.serving.buffer = large;
            }
            if !kit.serving.has_waited {
                kit.reader.share().await;
            }
        }
    }
}

#[cold]
fn lost() -> io::Error {
    io::Error::other("a reader without a buffer")
}

#[inline]
fn copy(request: &[u8], small: &mut Vec<u64>) {
    let words = request.len().div_ceil(size_of::<u64>());
    if small.len() < words {
        *small = vec![0; words.next_power_of_two()];
    }
    small.as_mut_bytes()[..request.len()].copy_from_slice(request);
}

/// Has the next request be on a flight that nobody else has: this one, if nobody kept it.
#[inline]
fn own_flight<S: Serve>(flight: &mut Option<Arc<Flight>>, reader: &Reader<S>) {
    match flight {
        // Whoever else had it did so before.
        Some(flight) if Arc::strong_count(flight) == 1 => fence(Ordering::Acquire),
        _ => *flight = Some(new_flight(reader)),
    }
}

#[cold]
fn new_flight<S: Serve>(reader: &Reader<S>) -> Arc<Flight> {
    let hub = &reader.engine.hub;
    let flight = Arc::new(Flight::new(hub.clone(), Notifier::new(&reader.port)));
    hub.list(&flight);
    flight
}
