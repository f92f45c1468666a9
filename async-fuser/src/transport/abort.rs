//! Ending a connection from this side, while the kernel still has users for it.
//!
//! A read of the device that waits cannot be called off, and does not notice that its descriptor is
//! closed. The kernel has a file for each connection in the control filesystem `fusectl`; writing to
//! it ends the connection, and every read of the device with it.

// The new mount interface has no safe wrapper.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;

/// Aborts the connection that `device` is a descriptor of: whoever waits for an answer gets an
/// error, and so does every later use of the filesystem. `number` is the connection's, if it is
/// known; newer kernels tell it.
///
/// Only root and the user who mounted the filesystem may; the latter only where the control
/// filesystem is mounted at its usual place. A socket that stands for the device is shut down.
#[cfg(target_os = "linux")]
pub(super) fn abort(device: BorrowedFd<'_>, number: Option<u32>) -> io::Result<()> {
    linux::abort(device, number)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn abort(_: BorrowedFd<'_>, _: Option<u32>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CStr;
    use std::fs::{self, File, OpenOptions};
    use std::io::{self, ErrorKind, Write};
    use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
    use std::ptr;

    use nix::errno::Errno;
    use nix::fcntl::{OFlag, openat};
    use nix::libc;
    use nix::sys::socket::{Shutdown, shutdown};
    use nix::sys::stat::Mode;

    use crate::transport::is_connected;

    pub(super) fn abort(device: BorrowedFd<'_>, number: Option<u32>) -> io::Result<()> {
        match shutdown(device.as_raw_fd(), Shutdown::Both) {
            Err(Errno::ENOTSOCK) => {}
            result => return Ok(result?),
        }
        if !is_connected(device) {
            return Ok(());
        }
        let number = told(device).or(number).ok_or_else(|| {
            io::Error::new(ErrorKind::NotFound, "the number of the connection is not known")
        })?;
        let mut file = open(number)?;
        // The number of a connection that is over may be another's by now. If this one is not over
        // yet, its number was still its own when the file was opened, and the file is its own.
        if is_connected(device) { file.write_all(b"1") } else { Ok(()) }
    }

    /// The file that aborts the connection of this number.
    fn open(number: u32) -> io::Result<File> {
        let path = format!("/sys/fs/fuse/connections/{number}/abort");
        match OpenOptions::new().write(true).open(path) {
            // It is not mounted there. Root can look into it without mounting it anywhere.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let path = format!("{number}/abort");
                let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                Ok(openat(control_filesystem()?, path.as_str(), flags, Mode::empty())?.into())
            }
            opened => opened,
        }
    }

    /// The connection's number, as newer kernels tell it.
    fn told(device: BorrowedFd<'_>) -> Option<u32> {
        let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", device.as_raw_fd())).ok()?;
        let number = about.lines().find_map(|line| line.strip_prefix("fuse_connection:"))?;
        number.trim().parse().ok()
    }

    /// The control filesystem, mounted for this descriptor alone.
    fn control_filesystem() -> io::Result<OwnedFd> {
        const FSOPEN_CLOEXEC: libc::c_uint = 1;
        const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
        const FSMOUNT_CLOEXEC: libc::c_uint = 1;

        let kind: &CStr = c"fusectl";
        // SAFETY: `kind` is a NUL-terminated string; the kernel reads it and nothing else.
        let context = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) };
        let context = descriptor(context)?;
        // SAFETY: the command takes no key, no value and no number, so no memory is read.
        let created = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                FSCONFIG_CMD_CREATE,
                ptr::null::<libc::c_char>(),
                ptr::null::<libc::c_void>(),
                0,
            )
        };
        Errno::result(created)?;
        // SAFETY: all arguments are numbers.
        let mount = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                context.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                0 as libc::c_uint,
            )
        };
        descriptor(mount)
    }

    /// What a system call that makes a descriptor returned.
    fn descriptor(returned: libc::c_long) -> io::Result<OwnedFd> {
        let fd = Errno::result(returned)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else knows its number.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
    }
}
