//! The future that reads requests and serves them, one after the other, until one has to wait.

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
    /// Read into by the leader. With a large request in it, it stays with that.
    buffer: Option<Buffer>,
    /// A copy of a small request, so that one that waits holds no more than it needs.
    small: Vec<u64>,
    flight: Option<Arc<Flight>>,
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
        Self { reader, buffer: None, small: Vec::new(), flight: None, _present: present }
    }

    pub(super) fn with_buffer(self, buffer: Buffer) -> Self {
        Self { buffer: Some(buffer), ..self }
    }

    pub(super) fn take_buffer(&mut self) -> Option<Buffer> {
        self.buffer.take()
    }
}

/// What is copied rather than kept where it was read: nearly everything but the data of writes.
const SMALL: usize = 8192;

/// Reads requests and serves them, until one has been served that had to wait.
pub(super) async fn lead<S: Serve>(mut kit: Kit<S>) -> Led<S> {
    let Some(mut buffer) = kit.buffer.take() else {
        return Led::Over(Err(io::Error::other("a reader without a buffer")));
    };
    loop {
        let len = match kit.reader.next(&mut buffer).await {
            Ok(Some(len)) => len,
            Ok(None) => return Led::Over(Ok(())),
            Err(error) => return Led::Over(Err(error)),
        };
        // A small request leaves the buffer to whoever leads next.
        let (spare, held) = if len <= SMALL { (Some(buffer), None) } else { (None, Some(buffer)) };
        if let Some(buffer) = &spare {
            copy(&buffer.as_bytes()[..len], &mut kit.small);
        }
        let request = held.as_ref().map_or(kit.small.as_bytes(), Buffer::as_bytes);
        let Some(request) = request.get(..len) else { return Led::Over(Ok(())) };
        let mut serving = Serving {
            flight: Some(own_flight(kit.flight.take(), &kit.reader)),
            spare,
            has_waited: false,
        };
        serve_request(&kit.reader, request, &mut serving).await;
        if kit.reader.port.shared().has_abandoned() {
            // What is made up is a request of its own.
            if let Some(flight) = &serving.flight {
                flight.land();
            }
            serving.flight = Some(own_flight(serving.flight.take(), &kit.reader));
            undo_abandoned(&kit.reader, &mut serving).await;
        }
        let Serving { flight, spare, has_waited } = serving;
        if let Some(flight) = &flight {
            flight.land();
        }
        kit.flight = flight;
        let kept = spare.or(held);
        if has_waited {
            kit.buffer = kept;
            return Led::Served(kit);
        }
        match kept {
            Some(kept) => buffer = kept,
            None => return Led::Over(Err(io::Error::other("a reader has lost its buffer"))),
        }
        kit.reader.share().await;
    }
}

#[inline]
fn copy(request: &[u8], small: &mut Vec<u64>) {
    let words = request.len().div_ceil(size_of::<u64>());
    if small.len() < words {
        *small = vec![0; words.next_power_of_two()];
    }
    small.as_mut_bytes()[..request.len()].copy_from_slice(request);
}

/// A flight that nobody else has: this one, if nobody kept it.
#[inline]
fn own_flight<S: Serve>(flight: Option<Arc<Flight>>, reader: &Reader<S>) -> Arc<Flight> {
    match flight {
        Some(flight) if Arc::strong_count(&flight) == 1 => {
            // Whoever else had it did so before.
            fence(Ordering::Acquire);
            flight
        }
        _ => new_flight(reader),
    }
}

#[cold]
fn new_flight<S: Serve>(reader: &Reader<S>) -> Arc<Flight> {
    let hub = &reader.engine.hub;
    let flight = Arc::new(Flight::new(hub.clone(), Notifier::new(&reader.port)));
    hub.list(&flight);
    flight
}
