use std::fs;
use std::io;
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

/// Waits for the kernel's INIT, lets the filesystem have its say, and answers.
pub(crate) fn handshake<F: Filesystem>(
    fs: &mut F,
    port: &Port,
    config: &Config,
    acl: SessionACL,
) -> io::Result<Agreed> {
    let mut buffer = Buffer::new(FUSE_MIN_READ_BUFFER);
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
        let refuse = |errno: Errno, error: io::Error| {
            if let Err(error) = port.send(&Message::error(unique, errno)) {
                log::debug!("INIT was not refused: {error}");
            }
            error
        };
        let init = InitRequest::decode(body)
            .map_err(|error| refuse(Errno::EIO, invalid(&error.to_string())))?;
        match negotiate(&init, &surroundings(config, acl)) {
            Negotiation::OtherMajor(ours) => {
                port.send(&Message::reply(unique, [&ours, &[], &[]]))?;
            }
            Negotiation::TooOld => {
                let Version(major, minor) = init.version;
                let error = format!("the kernel's FUSE ABI {major}.{minor} is older than 7.19");
                return Err(refuse(
                    Errno::EPROTO,
                    io::Error::new(io::ErrorKind::Unsupported, error),
                ));
            }
            Negotiation::Begin(mut config) => {
                call_init(fs, req, &mut config).map_err(|error| {
                    refuse(error.raw_os_error().map_or(Errno::EIO, Errno::from_i32), error)
                })?;
                let negotiated = config.finish();
                port.send(&Message::reply(unique, [negotiated.body(), &[], &[]]))?;
                log::debug!("ABI 7.{}, {:?}", negotiated.minor, negotiated.flags);
                let setxattr_ext = negotiated.flags.contains(InitFlags::FUSE_SETXATTR_EXT);
                return Ok(Agreed {
                    dialect: Dialect { setxattr_ext },
                    max_write: negotiated.max_write,
                });
            }
        }
    }
}

fn call_init<F: Filesystem>(
    fs: &mut F,
    req: &Request,
    config: &mut KernelConfig,
) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(|| fs.init(req, config)))
        .unwrap_or_else(|_| Err(io::Error::other("the filesystem's init panicked")))
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
