// One of the few rooms with `unsafe`: the device's ioctls.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
#[cfg(feature = "async")]
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::writev;
use nix::unistd::read;

use crate::abi::fuse_backing_map;
use crate::wire::Message;

/// One descriptor of a FUSE connection: requests are read from it, answers written to it.
#[derive(Debug)]
pub(crate) struct Device(OwnedFd);

/// What a read of the device came to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// One request of this many bytes.
    Request(usize),
    /// The connection is over: unmounted or aborted.
    End,
}

impl Device {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Another descriptor of the same connection, with a queue of its own for what it has read.
    /// The answer to a request goes to the descriptor that delivered it.
    pub(crate) fn duplicate(&self) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let source = self.0.as_raw_fd() as u32;
        // SAFETY: both descriptors are open for the whole call; the kernel reads one u32.
        unsafe { ioctl::clone(file.as_raw_fd(), &source) }?;
        Ok(Self(file.into()))
    }

    /// Waits for one request.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            match self.try_receive(buffer)? {
                Some(received) => return Ok(received),
                None => self.wait()?,
            }
        }
    }

    /// One request; from a descriptor that does not block, `None` if there is none.
    #[inline]
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            match read(&self.0, buffer) {
                // Only a socket that stands for the device ends this way.
                Ok(0) => return Ok(Some(Received::End)),
                Ok(len) => return Ok(Some(Received::Request(len))),
                Err(Errno::ENODEV | Errno::ECONNABORTED) => return Ok(Some(Received::End)),
                // ENOENT: the request was taken back while it was being read.
                Err(Errno::EINTR | Errno::ENOENT) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The descriptor for a runtime that watches it; reading no longer blocks.
    #[cfg(feature = "async")]
    pub(crate) fn polled(&self) -> io::Result<Polled> {
        let fd = self.0.try_clone()?;
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Polled(fd))
    }

    /// Writes one message. The device takes it whole or refuses it.
    pub(crate) fn send(&self, message: &Message<'_>) -> io::Result<()> {
        let mut storage = [IoSlice::new(&[]); 4];
        let slices = message.slices(&mut storage);
        loop {
            match writev(&self.0, slices) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Registers `fd` as a backing file.
    pub(crate) fn open_backing(&self, fd: BorrowedFd<'_>) -> io::Result<u32> {
        let map = fuse_backing_map { fd: fd.as_raw_fd(), ..Default::default() };
        // SAFETY: both descriptors are open for the whole call; the kernel reads one struct.
        let id = unsafe { ioctl::backing_open(self.0.as_raw_fd(), &map) }?;
        Ok(id as u32)
    }

    /// Gives a backing file back.
    pub(crate) fn close_backing(&self, id: u32) -> io::Result<()> {
        // SAFETY: the descriptor is open for the whole call; the kernel reads one u32.
        unsafe { ioctl::backing_close(self.0.as_raw_fd(), &id) }?;
        Ok(())
    }

    /// Waits until there is something to read from a descriptor that does not block.
    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A descriptor of the device that a runtime watches.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct Polled(OwnedFd);

#[cfg(feature = "async")]
impl AsRawFd for Polled {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the kernel's end of the connection is still up: not unmounted, not aborted.
#[cfg(not(target_os = "macos"))]
pub(crate) fn is_connected(connection: BorrowedFd<'_>) -> bool {
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let mut asked = [PollFd::new(connection, PollFlags::empty())];
    loop {
        match poll(&mut asked, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            Err(_) => return true,
            Ok(_) => return !asked[0].revents().is_some_and(|events| events.intersects(gone)),
        }
    }
}

/// The descriptor that `mountpoint` names, if it is of the form `/dev/fd/N`.
///
/// `N` itself stays open, as whoever handed it down may still use it, but no longer passes to
/// children of this process.
pub(crate) fn inherited(mountpoint: &Path) -> io::Result<Option<OwnedFd>> {
    let number = mountpoint.to_str().and_then(|path| path.strip_prefix("/dev/fd/"));
    let Some(number) = number.and_then(|number| number.parse::<RawFd>().ok()) else {
        return Ok(None);
    };
    let invalid = |errno: Errno| {
        io::Error::new(
            io::Error::from(errno).kind(),
            format!("{}: no descriptor was inherited: {errno}", mountpoint.display()),
        )
    };
    // SAFETY: duplicating a number that is no open descriptor fails with EBADF and does nothing.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    Errno::result(copy).map_err(invalid)?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    // SAFETY: only the descriptor's flag is changed.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })
        .map_err(invalid)?;
    Ok(Some(copy))
}

/// The device's ioctls, as `linux/fuse.h` numbers them.
mod ioctl {
    use crate::abi::fuse_backing_map;

    nix::ioctl_write_ptr!(backing_open, 229, 1, fuse_backing_map);
    nix::ioctl_write_ptr!(backing_close, 229, 2, u32);
    nix::ioctl_write_ptr_bad!(clone, nix::request_code_read!(229, 0, size_of::<u32>()), u32);
}
