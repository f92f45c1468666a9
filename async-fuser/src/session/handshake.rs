use std::fs;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::unistd::{SysconfVar, sysconf};

use crate::abi::FUSE_MIN_READ_BUFFER;
use crate::filesystem::Filesystem;
use crate::mount::{Config, MountOption, SessionACL};
use crate::op::Opcode;
use crate::transport::{Buffer, Port, Received};
use crate::types::{Errno, InitFlags, Request, Version};
use crate::wire::init::{InitRequest, KernelConfig, Negotiation, Surroundings, negotiate};
use crate::wire::{Dialect, Message};

/// What the session keeps of the handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) dialect: Dialect,
    /// The largest write the kernel sends.
    pub(crate) max_write: u32,
}

impl Agreed {
    /// How much room a request may need. The kernel refuses to be read with less.
    pub(crate) fn largest_request(self) -> usize {
        const ARGUMENTS: usize = 4096;
        (self.max_write as usize + ARGUMENTS).max(FUSE_MIN_READ_BUFFER)
    }
}

/// The kernel's INIT, to be answered by [`agree`](Self::agree) or refused by dropping it.
pub(crate) struct Hello<P: Deref<Target = Port>> {
    port: P,
    buffer: Buffer,
    len: usize,
    /// Taken when it is answered.
    unique: Option<u64>,
}

impl<P: Deref<Target = Port>> Hello<P> {
    /// On whose behalf the kernel begins.
    pub(crate) fn req(&self) -> &Request {
        let (req, _) = Request::split(&self.buffer.as_bytes()[..self.len])
            .expect("it was split when it was received");
        req
    }

    /// Answers with what the filesystem wants, which `config` has by now.
    pub(crate) fn agree(mut self, config: &KernelConfig) -> io::Result<Agreed> {
        let negotiated = config.finish();
        if let Some(unique) = self.unique.take() {
            self.port.send(&Message::reply(unique, [negotiated.body(), &[], &[]]))?;
        }
        log::debug!("ABI 7.{}, {:?}", negotiated.minor, negotiated.flags);
        let setxattr_ext = negotiated.flags.contains(InitFlags::FUSE_SETXATTR_EXT);
        Ok(Agreed { dialect: Dialect { setxattr_ext }, max_write: negotiated.max_write })
    }

    /// Refuses, because of an error of the filesystem's.
    pub(crate) fn refuse(mut self, error: io::Error) -> io::Error {
        self.refuse_with(error.raw_os_error().map_or(Errno::EIO, Errno::from_i32));
        error
    }

    fn refuse_with(&mut self, errno: Errno) {
        let Some(unique) = self.unique.take() else { return };
        if let Err(error) = self.port.send(&Message::error(unique, errno)) {
            log::debug!("INIT was not refused: {error}");
        }
    }
}

impl<P: Deref<Target = Port>> Drop for Hello<P> {
    fn drop(&mut self) {
        self.refuse_with(Errno::EIO);
    }
}

/// Waits for the kernel's INIT.
pub(crate) fn hello<P: Deref<Target = Port>>(
    port: P,
    config: &Config,
    acl: SessionACL,
) -> io::Result<(Hello<P>, KernelConfig)> {
    let mut buffer = Buffer::new(FUSE_MIN_READ_BUFFER)?;
    loop {
        let Received::Request(len) = port.device().receive(buffer.as_mut_bytes())? else {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the filesystem was unmounted before the kernel began to use it",
            ));
        };
        let Some((req, body)) = Request::split(&buffer.as_bytes()[..len]) else {
            return Err(invalid("the kernel's first request is shorter than a header"));
        };
        let unique = req.unique().0;
        if Opcode(req.opcode()) != Opcode::INIT {
            log::warn!("{:?} before INIT", Opcode(req.opcode()));
            if Opcode(req.opcode()).is_answered() {
                port.send(&Message::error(unique, Errno::EIO))?;
            }
            continue;
        }
        let decoded = InitRequest::decode(body);
        let init = match decoded {
            Ok(init) => init,
            Err(error) => {
                drop(Hello { port, buffer, len, unique: Some(unique) });
                return Err(invalid(&error.to_string()));
            }
        };
        match negotiate(&init, &surroundings(config, acl)) {
            Negotiation::OtherMajor(ours) => {
                port.send(&Message::reply(unique, [&ours, &[], &[]]))?;
            }
            Negotiation::TooOld => {
                let Version(major, minor) = init.version;
                let error = format!("the kernel's FUSE ABI {major}.{minor} is older than 7.19");
                Hello { port, buffer, len, unique: Some(unique) }.refuse_with(Errno::EPROTO);
                return Err(io::Error::new(io::ErrorKind::Unsupported, error));
            }
            Negotiation::Begin(config) => {
                return Ok((Hello { port, buffer, len, unique: Some(unique) }, config));
            }
        }
    }
}

/// Waits for the kernel's INIT, lets the filesystem have its say, and answers.
pub(crate) fn handshake<F: Filesystem>(
    fs: &mut F,
    port: &Port,
    config: &Config,
    acl: SessionACL,
) -> io::Result<Agreed> {
    let (hello, mut config) = hello(port, config, acl)?;
    match call_init(fs, hello.req(), &mut config) {
        Ok(()) => hello.agree(&config),
        Err(error) => Err(hello.refuse(error)),
    }
}

fn call_init<F: Filesystem>(
    fs: &mut F,
    req: &Request,
    config: &mut KernelConfig,
) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(|| fs.init(req, config))).unwrap_or_else(|_| Err(init_panicked()))
}

pub(crate) fn init_panicked() -> io::Error {
    io::Error::other("the filesystem's init panicked")
}

fn surroundings(config: &Config, acl: SessionACL) -> Surroundings {
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let max_pages = fs::read_to_string("/proc/sys/fs/fuse/max_pages_limit")
        .ok()
        .and_then(|limit| limit.trim().parse().ok())
        .unwrap_or(256);
    Surroundings {
        page_size: page_size as u32,
        max_pages,
        default_permissions: config.mount_options.contains(&MountOption::DefaultPermissions),
        acl_all: acl == SessionACL::All,
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
