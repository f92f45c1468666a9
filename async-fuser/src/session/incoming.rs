//! From the bytes of a request to what is to be done about it: the same for both engines.

use std::any::Any;

use super::acl::Acl;
use crate::op::{Control, Opcode, Operation};
use crate::transport::Port;
use crate::types::{Errno, IoctlFlags, Request, RequestId};
use crate::wire::{Args, DecodeError, Dialect, Message};

/// What is to be done about a request.
pub(crate) enum Incoming<'a> {
    /// The filesystem serves it.
    Serve(Operation<'a>),
    /// It is the session's own business.
    Control(Args<'a>),
    /// It gets this error, if it is one that is answered.
    Refuse(Errno),
}

/// The header of a request and its arguments; `None` if it is too short to have one.
#[inline]
pub(crate) fn arguments(request: &[u8], dialect: Dialect) -> Option<Args<'_>> {
    let args = Args::contiguous(request, dialect).ok();
    if args.is_none() {
        log::error!("a request of {} bytes has no header: ignored", request.len());
    }
    args
}

/// Decodes a request of so many bytes, and decides whether its caller may have it served.
#[inline]
pub(crate) fn incoming<'a>(args: Args<'a>, len: usize, acl: Acl) -> Incoming<'a> {
    let req = args.req();
    let opcode = Opcode(req.opcode());
    log::debug!("{opcode:?} {req:?}");
    let decoded = if req.len() as usize == len {
        Operation::decode(args.clone())
    } else {
        Err(DecodeError::Short)
    };
    match decoded {
        Ok(operation) => match refusal(req, &operation, acl) {
            None => Incoming::Serve(operation),
            Some(errno) => Incoming::Refuse(errno),
        },
        Err(DecodeError::Unknown) => Incoming::Control(args),
        Err(error) => {
            log::error!("{opcode:?} {req:?}: {error}");
            Incoming::Refuse(error.errno())
        }
    }
}

fn refusal(req: &Request, operation: &Operation<'_>, acl: Acl) -> Option<Errno> {
    match operation {
        _ if !acl.allows(req, operation) => Some(Errno::EACCES),
        // Its arguments are the caller's pointers, which are not to be followed.
        Operation::Ioctl(op) if op.flags.contains(IoctlFlags::FUSE_IOCTL_UNRESTRICTED) => {
            Some(Errno::ENOSYS)
        }
        _ => None,
    }
}

/// Serves what is the session's own business; `interrupt` is told whose caller got a signal.
#[cold]
pub(crate) fn control(args: Args<'_>, port: &Port, interrupt: impl FnOnce(&Request, RequestId)) {
    let req = args.req();
    match Control::decode(args) {
        Ok(Control::Interrupt(op)) => interrupt(req, op.unique),
        Ok(Control::NotifyReply(op)) => port.shared().retrieved(req.unique().0, op.data),
        Ok(Control::Destroy(_)) => {
            port.shared().stop();
            answer(port, &Message::reply(req.unique().0, [&[]; 3]));
        }
        Ok(Control::Init(_)) => {
            log::error!("a second INIT");
            refuse(port, req, Errno::EIO);
        }
        Ok(_) => refuse(port, req, Errno::ENOSYS),
        Err(error) => {
            log::error!("{:?} {req:?}: {error}", Opcode(req.opcode()));
            refuse(port, req, error.errno());
        }
    }
}

pub(crate) fn refuse(port: &Port, req: &Request, errno: Errno) {
    if Opcode(req.opcode()).is_answered() {
        answer(port, &Message::error(req.unique().0, errno));
    }
}

fn answer(port: &Port, message: &Message<'_>) {
    if let Err(error) = port.send(message) {
        log::debug!("nobody waits for an answer: {error}");
    }
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
