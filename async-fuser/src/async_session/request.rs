//! One request, from its bytes to its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use tokio::time::{Sleep, sleep};
use zerocopy::{Immutable, IntoBytes};

use super::flight::{Flight, Waiting, Wish, as_current};
use super::reader::Reader;
use crate::abi::{fuse_forget_in, fuse_in_header, fuse_release_in};
use crate::duty::Duty;
use crate::op::{Opcode, Operation, Operations};
use crate::outcome::Reply;
use crate::serve::{Serve, left_out};
use crate::session::incoming::{Incoming, arguments, control, incoming, panic_message, refuse};
use crate::transport::{Abandoned, Buffer, Port};
use crate::types::{Errno, Request};

/// What a leader lends to the request that it serves.
#[derive(Default)]
pub(super) struct Serving {
    /// Taken only while the method is polled.
    pub(super) flight: Option<Arc<Flight>>,
    /// The buffer for whoever leads next, if the request is not in it.
    pub(super) buffer: Option<Buffer>,
    /// Whether one has had to wait, and so has become a task.
    pub(super) has_waited: bool,
    /// Whether this one has had to.
    pub(super) waits: bool,
}

/// Serves a request. Whatever happens, it is answered, or it is one that never is.
#[expect(clippy::manual_async_fn, reason = "what an `async fn` takes it keeps twice")]
#[inline]
pub(super) fn serve_request<'r, S: Serve>(
    reader: &'r Reader<S>,
    request: &'r [u8],
    serving: &'r mut Serving,
) -> impl Future<Output = ()> + Send + use<'r, S> {
    async move {
        let Some(Begun { req, operation, traits, duty }) = begin(reader, request, serving) else {
            return;
        };
        let mut duty = Some(duty);
        let ended = {
            let call = pin!(reader.engine.fs.serve(operation));
            Method { reader, serving, req, call, duty: &mut duty, traits, wait: None }.await
        };
        // What is cut short has been dropped by now.
        if let (Err(errno), Some(duty)) = (ended, duty) {
            duty.error(errno);
        }
    }
}

/// A request that a method is to serve.
struct Begun<'r> {
    req: &'r Request,
    operation: Operation<'r>,
    traits: Traits,
    duty: Duty<&'r Port>,
}

/// What comes before the method, if there is one for it.
// Not in the future, which would keep all that is borrowed here.
#[inline]
fn begin<'r, S: Serve>(
    reader: &'r Reader<S>,
    request: &'r [u8],
    serving: &Serving,
) -> Option<Begun<'r>> {
    let Reader { engine, port, .. } = reader;
    let args = arguments(request, engine.agreed.dialect)?;
    let req = args.req();
    let operation = match incoming(args, request.len(), engine.acl) {
        Incoming::Serve(operation) => operation,
        Incoming::Control(args) => {
            control(args, port, |_, unique| engine.hub.interrupt(unique.0));
            return None;
        }
        Incoming::Refuse(errno) => {
            refuse(port, req, errno);
            return None;
        }
    };
    if let Some(flight) = &serving.flight {
        flight.begin(req);
    }
    // What is made up by the session itself has no number.
    let is_heard = Opcode(req.opcode()).is_answered() && req.unique().0 != 0;
    let room = operation.room();
    let duty = if is_heard { Duty::new(req, room, &**port) } else { Duty::unheard(req) };
    if !S::OPERATIONS.has(&operation) {
        answer(duty, left_out(&operation));
        return None;
    }
    Some(Begun { req, traits: Traits::of(&operation, room), operation, duty })
}

#[inline]
fn answer(duty: Duty<&Port>, result: Result<Reply<'_>, Errno>) {
    match result {
        Ok(reply) => reply.send(duty),
        Err(errno) => duty.error(errno),
    }
}

/// A method at work, to its answer, or to the error that cuts it short: its panics are caught, it
/// is dropped when it is interrupted and may be, and its deadline is minded.
struct Method<'m, 'r, S: Serve, C> {
    reader: &'r Reader<S>,
    serving: &'m mut Serving,
    req: &'r Request,
    call: Pin<&'m mut C>,
    /// Taken by the answer.
    duty: &'m mut Option<Duty<&'r Port>>,
    traits: Traits,
    wait: Option<Wait>,
}

/// What a method has that is not ready at once.
struct Wait {
    _waiting: Waiting,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, S, C> Future for Method<'_, '_, S, C>
where
    S: Serve,
    C: Future<Output = Result<Reply<'a>, Errno>>,
{
    type Output = Result<(), Errno>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !this.serving.has_waited && this.takes_long() {
            return this.wait(cx);
        }
        // Nobody needs to wake it before it has become a task, which polls it once more.
        let mut nobody = Context::from_waker(Waker::noop());
        let cx = if this.serving.has_waited { cx } else { &mut nobody };
        if this.wait.is_some() {
            this.go_on(cx)?;
        }
        match this.poll_call(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.wait(cx),
        }
    }
}

impl<'a, S, C> Method<'_, '_, S, C>
where
    S: Serve,
    C: Future<Output = Result<Reply<'a>, Errno>>,
{
    /// Polls the method, and answers with what it comes to.
    #[inline]
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        let Self { reader, serving, req, call, duty, traits, .. } = self;
        let polled = as_current(&mut serving.flight, || {
            catch_unwind(AssertUnwindSafe(|| {
                let result = ready!(call.as_mut().poll(cx));
                match duty.take() {
                    Some(duty) => answer(duty, result),
                    // The caller has been told that it takes too long; what was opened or made is
                    // nobody's.
                    None => {
                        if let Ok(reply) = result {
                            reply.send(Duty::late(req, traits.room, &*reader.port));
                        }
                    }
                }
                Poll::Ready(())
            }))
        });
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                log::error!("{} panicked: {}", traits.method(), panic_message(&*panic));
                Poll::Ready(Err(Errno::EIO))
            }
        }
    }

    /// Whether its answer takes so long to be copied that another thread had better read meanwhile,
    /// if there is one.
    #[inline]
    fn takes_long(&self) -> bool {
        const LONG: u32 = 256 << 10;
        self.reader.has_others && (LONG..u32::MAX).contains(&self.traits.room)
    }

    /// The method is not ready: it becomes a task, if it is not on one.
    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Errno>> {
        let Some(flight) = &self.serving.flight else { return Poll::Ready(Err(Errno::EIO)) };
        if self.wait.is_none() {
            let limit = self.reader.engine.hub.limits.deadlines[self.traits.row];
            self.wait = Some(Wait {
                _waiting: flight.wait(self.traits.weight(self.req)),
                timer: limit.map(|limit| Box::pin(sleep(limit))),
            });
            self.serving.waits = true;
            let buffer = self.serving.buffer.take();
            if self.serving.has_waited {
                self.reader.give_back(buffer);
                // Whoever cancels it is to find the waker.
                return self
                    .go_on(cx)
                    .map_or_else(|errno| Poll::Ready(Err(errno)), |()| Poll::Pending);
            }
            // Interrupted before it waits, it makes no task.
            if let Some(errno) = cancelled(flight, self.traits) {
                self.serving.buffer = buffer;
                return Poll::Ready(Err(errno));
            }
            self.serving.has_waited = true;
            self.reader.hand_over(buffer);
            return Poll::Pending;
        }
        // It has left a shield just now, or entered what is interruptible.
        match cancelled(flight, self.traits) {
            Some(errno) => Poll::Ready(Err(errno)),
            None => Poll::Pending,
        }
    }

    /// Looks at what there is beside the method while it waits.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Errno> {
        let (Some(wait), Some(flight)) = (&mut self.wait, &self.serving.flight) else {
            return Ok(());
        };
        flight.wake_by(cx.waker());
        if let Some(errno) = cancelled(flight, self.traits) {
            return Err(errno);
        }
        if wait.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            wait.timer = None;
            log::warn!("{} has not ended in time", self.traits.method());
            // From now on nobody waits for it, and it may be dropped as soon as it allows that.
            flight.interrupt();
            if may_be_torn(flight, self.traits) {
                return Err(Errno::ETIMEDOUT);
            }
            // It goes on, as it must; but nobody is to wait for it any longer.
            if let Some(duty) = self.duty.take() {
                duty.error(Errno::ETIMEDOUT);
            }
        }
        Ok(())
    }
}

/// What of an operation is needed while its method runs.
#[derive(Clone, Copy)]
struct Traits {
    row: usize,
    /// See [`Operation::room`].
    room: u32,
    changes_nothing: bool,
}

impl Traits {
    #[inline]
    fn of(operation: &Operation<'_>, room: u32) -> Self {
        Self { row: operation.row(), room, changes_nothing: changes_nothing(operation) }
    }

    fn method(self) -> &'static str {
        Operations::method(self.row)
    }

    /// How many bytes the request takes until it is answered.
    fn weight(self, req: &Request) -> usize {
        let answer = match self.room {
            u32::MAX => 0,
            room => room,
        };
        req.len() as usize + answer as usize
    }
}

/// What a method is dropped with now, if it is.
fn cancelled(flight: &Flight, traits: Traits) -> Option<Errno> {
    match flight.wish() {
        Wish::None => None,
        Wish::Interrupted => may_be_torn(flight, traits).then_some(Errno::EINTR),
        Wish::End => Some(Errno::ENOTCONN),
    }
}

fn may_be_torn(flight: &Flight, traits: Traits) -> bool {
    flight.shields.load(Ordering::Relaxed) == 0
        && (traits.changes_nothing || flight.openings.load(Ordering::Relaxed) > 0)
}

/// Whether a method may be dropped in its middle and nothing is left half done.
fn changes_nothing(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::Setlk(op) => op.sleep,
        Operation::Open(op) => op.flags.0 & libc::O_TRUNC == 0,
        operation => matches!(
            operation,
            Operation::Lookup(_)
                | Operation::Getattr(_)
                | Operation::Statx(_)
                | Operation::Readlink(_)
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

/// Takes back what callers were given who were gone by then: the kernel knows nothing of it.
#[cold]
pub(super) async fn undo_abandoned<S: Serve>(reader: &Reader<S>, serving: &mut Serving) {
    for abandoned in reader.port.shared().take_abandoned() {
        let request = match abandoned {
            Abandoned::Open { ino, fh, directory } => {
                let opcode = if directory { Opcode::RELEASEDIR } else { Opcode::RELEASE };
                made_up(opcode, ino, &fuse_release_in { fh, ..Default::default() })
            }
            Abandoned::Lookup { ino } => {
                made_up(Opcode::FORGET, ino, &fuse_forget_in { nlookup: 1 })
            }
        };
        Box::pin(serve_request(reader, request.as_bytes(), serving)).await;
    }
}

/// A request that the session makes up. The kernel's structs are made of whole words.
fn made_up(opcode: Opcode, node: u64, body: &(impl IntoBytes + Immutable)) -> Vec<u64> {
    let len = size_of::<fuse_in_header>() + size_of_val(body);
    let header =
        fuse_in_header { len: len as u32, opcode: opcode.0, nodeid: node, ..Default::default() };
    let mut request = vec![0; len / size_of::<u64>()];
    let (head, rest) = request.as_mut_bytes().split_at_mut(size_of_val(&header));
    head.copy_from_slice(header.as_bytes());
    rest.copy_from_slice(body.as_bytes());
    request
}
