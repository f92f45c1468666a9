use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::thread;

use zerocopy::IntoBytes;

use super::Agreed;
use super::acl::Acl;
use crate::abi::{FUSE_MIN_READ_BUFFER, fuse_in_header};
use crate::dispatch::dispatch;
use crate::filesystem::Filesystem;
use crate::mount::Config;
use crate::op::{Control, Opcode, Operation};
use crate::reply::{Raw, ReplyEmpty};
use crate::transport::{Abandoned, Buffer, Port, Received, Shared};
use crate::types::{Errno, FileHandle, INodeNo, IoctlFlags, OpenFlags, Request};
use crate::wire::{Args, DecodeError, Message};

/// Serves requests until the connection is over, on `config.n_threads` threads, of which this is
/// one.
pub(crate) fn serve<F: Filesystem>(
    fs: &F,
    port: Arc<Port>,
    config: &Config,
    agreed: Agreed,
    acl: Acl,
) -> io::Result<()> {
    let ports = ports(&port, config)?;
    let worker = |port| Worker { fs, port, agreed, acl };
    thread::scope(|scope| {
        let others: Vec<_> = ports
            .into_iter()
            .enumerate()
            .filter_map(|(i, port)| {
                let worker = worker(port);
                thread::Builder::new()
                    .name(format!("fuse-{}", i + 1))
                    .spawn_scoped(scope, move || worker.work())
                    // Fewer threads serve more slowly, but they serve.
                    .inspect_err(|error| log::error!("thread {} is missing: {error}", i + 1))
                    .ok()
            })
            .collect();
        let mut result = worker(port).work();
        for other in others {
            let other = other.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            result = result.and(other);
        }
        result
    })
}

/// Whether this thread is one of the workers that have `shared` in common.
pub(crate) fn is_worker_of(shared: &Shared) -> bool {
    SERVING.with(|serving| ptr::eq(serving.get(), shared))
}

thread_local! {
    static SERVING: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// The other workers' ports: the same descriptor again, or one each.
fn ports(port: &Arc<Port>, config: &Config) -> io::Result<Vec<Arc<Port>>> {
    let n_threads = config.n_threads.unwrap_or(1);
    if n_threads == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "n_threads is 0: none to serve"));
    }
    if n_threads > 1 && !cfg!(target_os = "linux") {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "n_threads beyond 1 is supported on Linux alone",
        ));
    }
    (1..n_threads)
        .map(|_| Ok(if config.clone_fd { Arc::new(port.duplicate()?) } else { port.clone() }))
        .collect()
}

/// One thread that reads requests and has them served.
struct Worker<'a, F> {
    fs: &'a F,
    port: Arc<Port>,
    agreed: Agreed,
    acl: Acl,
}

impl<F: Filesystem> Worker<'_, F> {
    fn work(&self) -> io::Result<()> {
        let shared = self.port.shared();
        SERVING.set(shared);
        let result = self.read_requests();
        self.release_abandoned();
        SERVING.set(ptr::null());
        if result.is_err() {
            // The others are to end as well.
            if let Err(error) = self.port.abort() {
                log::warn!("{error}");
            }
        }
        result
    }

    fn read_requests(&self) -> io::Result<()> {
        // The kernel refuses to be read with less room than its largest request needs.
        let arguments = 4096;
        let room = (self.agreed.max_write as usize + arguments).max(FUSE_MIN_READ_BUFFER);
        let mut buffer = Buffer::new(room);
        while !self.port.shared().is_stopping() {
            let Received::Request(len) = self.port.device().receive(buffer.as_mut_bytes())? else {
                break;
            };
            self.serve(&buffer.as_bytes()[..len]);
            if self.port.shared().has_abandoned() {
                self.release_abandoned();
            }
        }
        Ok(())
    }

    /// Serves one request. Whatever happens, it is answered, or it is one that never is.
    fn serve(&self, request: &[u8]) {
        let Ok(args) = Args::contiguous(request, self.agreed.dialect) else {
            log::error!("a request of {} bytes has no header: ignored", request.len());
            return;
        };
        let req = args.req();
        let opcode = Opcode(req.opcode());
        log::debug!("{opcode:?} {req:?}");
        let decoded = if req.len() as usize == request.len() {
            Operation::decode(args.clone())
        } else {
            Err(DecodeError::Short)
        };
        match &decoded {
            Ok(operation) => match self.refusal(req, operation) {
                None => self.call(operation),
                Some(errno) => self.refuse(req, errno),
            },
            Err(DecodeError::Unknown) => self.control(args),
            Err(error) => {
                log::error!("{opcode:?} {req:?}: {error}");
                self.refuse(req, error.errno());
            }
        }
    }

    fn call(&self, operation: &Operation<'_>) {
        self.guard(operation.method(), || dispatch(self.fs, operation, &self.port));
    }

    /// Calls a method of the filesystem. If it panics, its reply answers `EIO` when it is dropped.
    fn guard(&self, method: &str, call: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
            log::error!("{method} panicked: {}", message(&*panic));
        }
    }

    fn refusal(&self, req: &Request, operation: &Operation<'_>) -> Option<Errno> {
        match operation {
            _ if !self.acl.allows(req, operation) => Some(Errno::EACCES),
            // Its arguments are the caller's pointers, which are not to be followed.
            Operation::Ioctl(op) if op.flags.contains(IoctlFlags::FUSE_IOCTL_UNRESTRICTED) => {
                Some(Errno::ENOSYS)
            }
            _ => None,
        }
    }

    /// Serves what is the session's own business.
    #[cold]
    fn control(&self, args: Args<'_>) {
        let req = args.req();
        match Control::decode(args) {
            Ok(Control::Interrupt(op)) => {
                self.guard("interrupt", || self.fs.interrupt(req, op.unique));
            }
            Ok(Control::NotifyReply(op)) => {
                self.port.shared().retrieved(req.unique().0, op.data);
            }
            Ok(Control::Destroy(_)) => {
                self.port.shared().stop();
                self.answer(&Message::reply(req.unique().0, [&[]; 3]));
            }
            Ok(Control::Init(_)) => {
                log::error!("a second INIT");
                self.refuse(req, Errno::EIO);
            }
            Ok(_) => self.refuse(req, Errno::ENOSYS),
            Err(error) => {
                log::error!("{:?} {req:?}: {error}", Opcode(req.opcode()));
                self.refuse(req, error.errno());
            }
        }
    }

    fn refuse(&self, req: &Request, errno: Errno) {
        if Opcode(req.opcode()).is_answered() {
            self.answer(&Message::error(req.unique().0, errno));
        }
    }

    fn answer(&self, message: &Message<'_>) {
        if let Err(error) = self.port.send(message) {
            log::debug!("nobody waits for an answer: {error}");
        }
    }

    /// Releases what was opened for callers who were gone by the time it was: the kernel knows
    /// nothing of it.
    #[cold]
    fn release_abandoned(&self) {
        for Abandoned { ino, fh, directory } in self.port.shared().take_abandoned() {
            let opcode = if directory { Opcode::RELEASEDIR } else { Opcode::RELEASE };
            let header = [fuse_in_header { opcode: opcode.0, nodeid: ino, ..Default::default() }];
            let Some((req, _)) = Request::split(header.as_bytes()) else { continue };
            let (ino, fh, flags) = (INodeNo(ino), FileHandle(fh), OpenFlags(0));
            let reply = ReplyEmpty::new(Raw::unheard(req));
            if directory {
                self.guard("releasedir", || self.fs.releasedir(req, ino, fh, flags, reply));
            } else {
                self.guard("release", || {
                    self.fs.release(req, ino, fh, flags, None, false, reply);
                });
            }
        }
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}
