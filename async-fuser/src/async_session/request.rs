//! One request, from its bytes to its answer.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

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
use crate::types::Errno;

/// A request that is being served.
pub(super) struct Serving {
    /// Taken only while the method is polled.
    pub(super) flight: Option<Arc<Flight>>,
    /// The buffer for whoever leads next, if the request is not in it.
    pub(super) spare: Option<Buffer>,
    /// Whether it has become a task.
    pub(super) has_waited: bool,
}

/// Serves a request. Whatever happens, it is answered, or it is one that never is.
#[inline]
pub(super) async fn serve_request<S: Serve>(
    reader: &Reader<S>,
    request: &[u8],
    serving: &mut Serving,
) {
    let Reader { engine, port, .. } = reader;
    let Some(args) = arguments(request, engine.agreed.dialect) else { return };
    let req = args.req();
    let operation = match incoming(args, request.len(), engine.acl) {
        Incoming::Serve(operation) => operation,
        Incoming::Control(args) => {
            return control(args, port, |_, unique| engine.hub.interrupt(unique.0));
        }
        Incoming::Refuse(errno) => return refuse(port, req, errno),
    };
    if let Some(flight) = &serving.flight {
        flight.begin(req);
    }
    // What is made up by the session itself has no number.
    let is_heard = Opcode(req.opcode()).is_answered() && req.unique().0 != 0;
    let room = operation.room();
    let duty = if is_heard { Duty::new(req, room, &**port) } else { Duty::unheard(req) };
    if !S::OPERATIONS.has(&operation) {
        return answer(duty, left_out(&operation));
    }
    let mut duty = Some(duty);
    let traits = Traits::of(&operation);
    let result = guarded(reader, serving, traits, &mut duty, engine.fs.serve(operation)).await;
    match duty {
        Some(duty) => answer(duty, result),
        // The caller has been told that it takes too long; what was opened or made is nobody's.
        None => {
            if let Ok(reply) = result {
                reply.send(Duty::late(req, room, &**port));
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
async fn guarded<'a, S: Serve>(
    reader: &Reader<S>,
    serving: &mut Serving,
    traits: Traits,
    duty: &mut Option<Duty<&Port>>,
    call: impl Future<Output = Result<Reply<'a>, Errno>>,
) -> Result<Reply<'a>, Errno> {
    let mut call = pin!(call);
    let mut waiting = None::<Waiting>;
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|cx| {
        // Nobody needs to wake it before it has become a task, which polls it once more.
        let mut nobody = Context::from_waker(Waker::noop());
        let cx = if serving.has_waited { cx } else { &mut nobody };
        if let (Some(_), Some(flight)) = (&waiting, &serving.flight) {
            flight.wake_by(cx.waker());
            if let Some(errno) = cancelled(flight, traits) {
                return Poll::Ready(Err(errno));
            }
            if is_over(&mut timer, cx) {
                timer.set(None);
                log::warn!("{} has not ended in time", traits.method());
                // From now on nobody waits for it, and it may be dropped as soon as it allows that.
                flight.interrupt();
                if may_be_torn(flight, traits) {
                    return Poll::Ready(Err(Errno::ETIMEDOUT));
                }
                // It goes on, as it must; but nobody is to wait for it any longer.
                if let Some(duty) = duty.take() {
                    duty.error(Errno::ETIMEDOUT);
                }
            }
        }
        let polled = as_current(&mut serving.flight, || {
            catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)))
        });
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) => {
                let Some(flight) = &serving.flight else { return Poll::Ready(Err(Errno::EIO)) };
                if waiting.is_none() {
                    waiting = Some(flight.wait(traits.weight));
                    if let Some(limit) = reader.engine.hub.limits.deadlines[traits.row] {
                        timer.set(Some(sleep(limit)));
                    }
                    // Of a task that was one before, the waker and the timer are still to be set.
                    cx.waker().wake_by_ref();
                }
                // It has left a shield just now, or entered what is interruptible, or the interrupt
                // was here before it.
                if let Some(errno) = cancelled(flight, traits) {
                    return Poll::Ready(Err(errno));
                }
                if !serving.has_waited {
                    serving.has_waited = true;
                    reader.hand_over(serving.spare.take());
                }
                Poll::Pending
            }
            Err(panic) => {
                log::error!("{} panicked: {}", traits.method(), panic_message(&*panic));
                Poll::Ready(Err(Errno::EIO))
            }
        }
    })
    .await
}

/// What of an operation is needed while its method runs.
#[derive(Clone, Copy)]
struct Traits {
    row: usize,
    changes_nothing: bool,
    /// How many bytes the request takes until it is answered.
    weight: usize,
}

impl Traits {
    #[inline]
    fn of(operation: &Operation<'_>) -> Self {
        let answer = match operation.room() {
            u32::MAX => 0,
            room => room,
        };
        Self {
            row: operation.row(),
            changes_nothing: changes_nothing(operation),
            weight: operation.req().len() as usize + answer as usize,
        }
    }

    fn method(self) -> &'static str {
        Operations::method(self.row)
    }
}

fn is_over(timer: &mut Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> bool {
    timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready())
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
