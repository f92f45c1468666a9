use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::thread;

use zerocopy::IntoBytes;

use super::Agreed;
use super::acl::Acl;
use super::incoming::{Incoming, arguments, control, incoming, panic_message, refuse};
use crate::abi::fuse_in_header;
use crate::dispatch::dispatch;
use crate::filesystem::Filesystem;
use crate::mount::Config;
use crate::op::{Opcode, Operation};
use crate::reply::{Raw, ReplyEmpty};
use crate::transport::{Abandoned, Buffer, Port, Received, Shared};
use crate::types::{FileHandle, INodeNo, OpenFlags, Request};

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
    (1..config.readers()?)
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
        self.undo_abandoned();
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
        let mut buffer = Buffer::new(self.agreed.largest_request())?;
        while !self.port.shared().is_stopping() {
            let Received::Request(len) = self.port.device().receive(buffer.as_mut_bytes())? else {
                break;
            };
            self.serve(&buffer.as_bytes()[..len]);
            if self.port.shared().has_abandoned() {
                self.undo_abandoned();
            }
        }
        Ok(())
    }

    /// Serves one request. Whatever happens, it is answered, or it is one that never is.
    fn serve(&self, request: &[u8]) {
        let Some(args) = arguments(request, self.agreed.dialect) else { return };
        let req = args.req();
        match incoming(args, request.len(), self.acl) {
            Incoming::Serve(operation) => self.call(&operation),
            Incoming::Control(args) => control(args, &self.port, |req, unique| {
                self.guard("interrupt", || self.fs.interrupt(req, unique));
            }),
            Incoming::Refuse(errno) => refuse(&self.port, req, errno),
        }
    }

    fn call(&self, operation: &Operation<'_>) {
        self.guard(operation.method(), || dispatch(self.fs, operation, &self.port));
    }

    /// Calls a method of the filesystem. If it panics, its reply answers `EIO` when it is dropped.
    fn guard(&self, method: &str, call: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
            log::error!("{method} panicked: {}", panic_message(&*panic));
        }
    }

    /// Takes back what callers were given who were gone by then: the kernel knows nothing of it.
    #[cold]
    fn undo_abandoned(&self) {
        for abandoned in self.port.shared().take_abandoned() {
            let (opcode, ino) = match abandoned {
                Abandoned::Lookup { ino } => (Opcode::FORGET, ino),
                Abandoned::Open { ino, directory: true, .. } => (Opcode::RELEASEDIR, ino),
                Abandoned::Open { ino, .. } => (Opcode::RELEASE, ino),
            };
            let header = [fuse_in_header { opcode: opcode.0, nodeid: ino, ..Default::default() }];
            let Some((req, _)) = Request::split(header.as_bytes()) else { continue };
            let (ino, flags) = (INodeNo(ino), OpenFlags(0));
            let reply = ReplyEmpty::new(Raw::unheard(req));
            match abandoned {
                Abandoned::Lookup { .. } => self.guard("forget", || self.fs.forget(req, ino, 1)),
                Abandoned::Open { fh, directory: true, .. } => self.guard("releasedir", || {
                    self.fs.releasedir(req, ino, FileHandle(fh), flags, reply);
                }),
                Abandoned::Open { fh, .. } => self.guard("release", || {
                    self.fs.release(req, ino, FileHandle(fh), flags, None, false, reply);
                }),
            }
        }
    }
}
