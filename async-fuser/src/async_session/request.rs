//! One request from its bytes to its answer, as a future that owns all it needs.

use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use zerocopy::IntoBytes;

use super::driver::Destroyed;
use super::flight::{Flight, Waiting, Wish, as_current};
use super::hub::{Hub, Present};
use crate::abi::{fuse_in_header, fuse_release_in};
use crate::duty::Duty;
use crate::notifier::Notifier;
use crate::op::{Opcode, Operation};
use crate::outcome::Reply;
use crate::serve::{Serve, left_out};
use crate::session::acl::Acl;
use crate::session::incoming::{Incoming, arguments, control, incoming, panic_message, refuse};
use crate::transport::{Abandoned, Buffer, Port};
use crate::types::{Errno, Request};
use crate::wire::Dialect;

/// What serving one request takes. A reader has one at hand; a request that waits takes it along.
pub(super) struct Kit<S: Serve> {
    pub(super) fs: Arc<Destroyed<S>>,
    pub(super) port: Arc<Port>,
    pub(super) dialect: Dialect,
    pub(super) acl: Acl,
    /// Taken only while the method is polled.
    flight: Option<Arc<Flight>>,
    bytes: Bytes,
    // Dropped last.
    present: Present,
}

/// The bytes of a request.
#[derive(Default)]
struct Bytes {
    /// A copy of a small request, so that a future that waits holds no more than it needs.
    small: Vec<u64>,
    /// The reader's own buffer with a large one.
    large: Option<Buffer>,
    len: usize,
}

/// What is copied rather than handed over: nearly everything but the data of writes.
const SMALL: usize = 8192;

impl<S: Serve> Kit<S> {
    pub(super) fn new(
        fs: Arc<Destroyed<S>>,
        port: Arc<Port>,
        dialect: Dialect,
        acl: Acl,
        hub: &Arc<Hub>,
    ) -> Self {
        Self {
            fs,
            port,
            dialect,
            acl,
            flight: None,
            bytes: Bytes::default(),
            present: Present::new(hub),
        }
    }

    /// Takes over the request of `len` bytes in `buffer`, and with a large one `buffer` itself.
    #[inline]
    pub(super) fn load(&mut self, buffer: &mut Buffer, len: usize) {
        self.bytes.load(buffer, len);
        let flight = match self.flight.take() {
            Some(flight) if Arc::strong_count(&flight) == 1 => flight,
            _ => self.new_flight(),
        };
        if let Some((req, _)) = Request::split(self.bytes.get()) {
            flight.begin(req);
        }
        self.flight = Some(flight);
    }

    /// Gives the buffer back that a large request has taken.
    #[inline]
    pub(super) fn unload(&mut self) -> Option<Buffer> {
        self.bytes.large.take()
    }

    /// Whether a request has taken the reader's buffer.
    pub(super) fn has_buffer(&self) -> bool {
        self.bytes.large.is_some()
    }

    #[cold]
    fn new_flight(&self) -> Arc<Flight> {
        let hub = self.present.hub();
        let flight = Arc::new(Flight::new(hub.clone(), Notifier::new(&self.port)));
        hub.list(&flight);
        flight
    }
}

impl Bytes {
    #[inline]
    fn load(&mut self, buffer: &mut Buffer, len: usize) {
        self.len = len;
        if len > SMALL {
            self.large = Some(mem::replace(buffer, Buffer::none()));
            return;
        }
        let words = len.div_ceil(size_of::<u64>());
        if self.small.len() < words {
            self.small.resize(words.next_power_of_two(), 0);
        }
        self.small.as_mut_bytes()[..len].copy_from_slice(&buffer.as_bytes()[..len]);
    }

    #[inline]
    fn get(&self) -> &[u8] {
        match &self.large {
            Some(buffer) => &buffer.as_bytes()[..self.len],
            None => &self.small.as_bytes()[..self.len],
        }
    }
}

/// Serves the request that `kit` was loaded with. Whatever happens, it is answered, or it is one
/// that never is.
pub(super) async fn serve_request<S: Serve>(mut kit: Kit<S>) -> Kit<S> {
    let mut flight = kit.flight.take();
    serve_bytes(&kit, kit.bytes.get(), &mut flight).await;
    if kit.port.shared().has_abandoned() {
        release_abandoned(&kit, &mut flight).await;
    }
    if let Some(flight) = &flight {
        flight.land();
    }
    kit.flight = flight;
    kit
}

#[inline]
async fn serve_bytes<S: Serve>(kit: &Kit<S>, request: &[u8], flight: &mut Option<Arc<Flight>>) {
    let Some(args) = arguments(request, kit.dialect) else { return };
    let req = args.req();
    let operation = match incoming(args, request.len(), kit.acl) {
        Incoming::Serve(operation) => operation,
        Incoming::Control(args) => {
            return control(args, &kit.port, |_, unique| {
                kit.present.hub().interrupt(unique.0);
            });
        }
        Incoming::Refuse(errno) => return refuse(&kit.port, req, errno),
    };
    // What is made up by the session itself has no number.
    let is_heard = Opcode(req.opcode()).is_answered() && req.unique().0 != 0;
    let duty =
        if is_heard { Duty::new(req, operation.room(), &*kit.port) } else { Duty::unheard(req) };
    if !S::OPERATIONS.has(&operation) {
        return answer(duty, left_out(&operation));
    }
    let mut duty = Some(duty);
    let call = kit.fs.serve(operation);
    let result = guarded(flight, &operation, &mut duty, call).await;
    match duty {
        Some(duty) => answer(duty, result),
        // The caller has been told that it takes too long; what was opened is nobody's.
        None => {
            if let Ok(opened) = result {
                opened.send(Duty::late(req, &*kit.port));
            }
        }
    }
}

#[inline]
fn answer(duty: Duty<&Port>, result: Result<Reply<'_>, Errno>) {
    match result {
        Ok(reply) => reply.send(duty),
        Err(errno) => duty.error(errno),
    }
}

/// Runs a method: catches its panics, drops it when it is interrupted and may be, and minds its
/// deadline.
#[inline]
async fn guarded<'a>(
    flight: &mut Option<Arc<Flight>>,
    operation: &Operation<'_>,
    duty: &mut Option<Duty<&Port>>,
    call: impl Future<Output = Result<Reply<'a>, Errno>>,
) -> Result<Reply<'a>, Errno> {
    let mut call = pin!(call);
    let mut watch = Watch::None;
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        if let Watch::Waiting { deadline, .. } = &mut watch {
            let Some(flight) = &*flight else { return Poll::Ready(Err(Errno::EIO)) };
            flight.wake_by(cx.waker());
            if let Some(errno) = cancelled(flight, operation) {
                return Poll::Ready(Err(errno));
            }
            if let Some(limit) = deadline.take() {
                timer.set(Some(sleep(limit)));
            }
            if is_over(&mut timer, cx) {
                timer.set(None);
                log::warn!("{} has not ended in time", operation.method());
                if may_be_torn(flight, operation) {
                    return Poll::Ready(Err(Errno::ETIMEDOUT));
                }
                // It goes on, as it must; but nobody is to wait for it any longer.
                if let Some(duty) = duty.take() {
                    duty.error(Errno::ETIMEDOUT);
                }
            }
        }
        let polled =
            as_current(flight, || catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))));
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) => {
                if let (Watch::None, Some(flight)) = (&watch, &*flight) {
                    let deadline = flight.hub.limits.deadlines[operation.row()];
                    let waiting = flight.wait(weight(operation));
                    watch = Watch::Waiting { _waiting: waiting, deadline };
                }
                Poll::Pending
            }
            Err(panic) => {
                log::error!("{} panicked: {}", operation.method(), panic_message(&*panic));
                Poll::Ready(Err(Errno::EIO))
            }
        }
    })
    .await
}

/// How many bytes a request takes until it is answered.
fn weight(operation: &Operation<'_>) -> usize {
    let answer = match operation.room() {
        u32::MAX => 0,
        room => room,
    };
    operation.req().len() as usize + answer as usize
}

/// Whether a method has become a task.
enum Watch {
    None,
    Waiting {
        _waiting: Waiting,
        /// Taken when its time begins.
        deadline: Option<Duration>,
    },
}

fn is_over(timer: &mut Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> bool {
    timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready())
}

/// What a method is dropped with now, if it is.
fn cancelled(flight: &Flight, operation: &Operation<'_>) -> Option<Errno> {
    match flight.wish() {
        Wish::None => None,
        Wish::Interrupted => may_be_torn(flight, operation).then_some(Errno::EINTR),
        Wish::End => Some(Errno::ENOTCONN),
    }
}

fn may_be_torn(flight: &Flight, operation: &Operation<'_>) -> bool {
    flight.shields.load(Ordering::Relaxed) == 0
        && (changes_nothing(operation) || flight.openings.load(Ordering::Relaxed) > 0)
}

/// Whether a method may be dropped in its middle and nothing is left half done.
fn changes_nothing(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Setlk(op) => op.sleep,
        operation => matches!(
            operation,
            Operation::Lookup(_)
                | Operation::Getattr(_)
                | Operation::Statx(_)
                | Operation::Readlink(_)
                | Operation::Open(_)
                | Operation::Read(_)
                | Operation::Opendir(_)
                | Operation::Readdir(_)
                | Operation::Readdirplus(_)
                | Operation::Statfs(_)
                | Operation::Getxattr(_)
                | Operation::Listxattr(_)
                | Operation::Access(_)
                | Operation::Getlk(_)
                | Operation::Bmap(_)
                | Operation::Poll(_)
                | Operation::Lseek(_)
        ),
    }
}

/// Releases what was opened for callers who were gone by the time it was: the kernel knows nothing
/// of it.
#[cold]
async fn release_abandoned<S: Serve>(kit: &Kit<S>, flight: &mut Option<Arc<Flight>>) {
    for Abandoned { ino, fh, directory } in kit.port.shared().take_abandoned() {
        let opcode = if directory { Opcode::RELEASEDIR } else { Opcode::RELEASE };
        let len = (size_of::<fuse_in_header>() + size_of::<fuse_release_in>()) as u32;
        let header = fuse_in_header { len, opcode: opcode.0, nodeid: ino, ..Default::default() };
        let body = fuse_release_in { fh, ..Default::default() };
        let mut request = Bytes { len: len as usize, ..Bytes::default() };
        request.small = vec![0; request.len.div_ceil(size_of::<u64>())];
        let (head, tail) = request.small.as_mut_bytes().split_at_mut(size_of_val(&header));
        head.copy_from_slice(header.as_bytes());
        tail[..size_of_val(&body)].copy_from_slice(body.as_bytes());
        Box::pin(serve_bytes(kit, request.get(), flight)).await;
    }
}
