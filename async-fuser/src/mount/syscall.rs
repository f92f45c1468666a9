//! The system calls that have no safe wrapper: `statx`, handing a descriptor to a child, and
//! taking one out of a message.

#![allow(unsafe_code)] // descriptors arrive as numbers, and `statx` fills a struct we pass

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, fcntl};

#[cfg(target_os = "linux")]
pub(super) use linux::{Stamp, receive_descriptor, stamp};

/// Lets the child that `command` spawns inherit `fd`, under the number returned. Nobody else
/// does: the descriptor stays close-on-exec in this process, and is closed with `command`.
pub(super) fn share_with_child(command: &mut Command, fd: OwnedFd) -> io::Result<RawFd> {
    let fd = above_stdio(fd)?;
    let number = fd.as_raw_fd();
    let inherit = move || {
        // SAFETY: `fd` is owned by this closure, hence open, and F_SETFD takes an int and
        // touches no memory.
        let done = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) };
        if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure only calls fcntl and reads errno, which are
    // async-signal-safe, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(inherit) };
    Ok(number)
}

/// `fd`, or a copy of it that standard input, output and error cannot be mistaken for.
fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    let copy = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(libc::STDERR_FILENO + 1))?;
    // SAFETY: F_DUPFD_CLOEXEC succeeded, so `copy` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CString;
    use std::io::{self, IoSliceMut};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    use nix::cmsg_space;
    use nix::errno::Errno;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    /// Since Linux 6.8: an id that no other mount gets until the next boot.
    const STATX_MNT_ID_UNIQUE: libc::c_uint = 0x4000;

    /// What the kernel says about the mount that a path leads to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::mount) struct Stamp {
        /// The id in the first column of mountinfo; it is given out again after an unmount.
        pub(in crate::mount) id: Option<u64>,
        /// An id that is never given out again.
        pub(in crate::mount) unique: Option<u64>,
        pub(in crate::mount) dev: (u32, u32),
    }

    /// Reads the stamp of the mount at `path` without following a last symlink and without
    /// asking the filesystem there: it may be ours, and not served yet.
    pub(in crate::mount) fn stamp(path: &Path) -> io::Result<Stamp> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let reused = statx(&path, libc::STATX_MNT_ID)?;
        let unique = statx(&path, STATX_MNT_ID_UNIQUE)?;
        let id =
            |answer: &libc::statx, bit| (answer.stx_mask & bit != 0).then_some(answer.stx_mnt_id);
        Ok(Stamp {
            id: id(&reused, libc::STATX_MNT_ID),
            unique: id(&unique, STATX_MNT_ID_UNIQUE),
            dev: (reused.stx_dev_major, reused.stx_dev_minor),
        })
    }

    fn statx(path: &CString, mask: libc::c_uint) -> io::Result<libc::statx> {
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_DONT_SYNC;
        let mut answer = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: `path` is a NUL-terminated string and `answer` has room for a statx.
        let done =
            unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, mask, answer.as_mut_ptr()) };
        if done == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a statx is plain integers, and all of it was zeroed before the kernel wrote.
        Ok(unsafe { answer.assume_init() })
    }

    /// Waits for the message that carries a descriptor. `None` if the peer closed its end, or
    /// sent something else.
    pub(in crate::mount) fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let mut control = cmsg_space!([RawFd; 4]);
        let message = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let socket = socket.as_raw_fd();
            match recvmsg::<SockaddrStorage>(socket, &mut parts, Some(&mut control), flags) {
                Err(Errno::EINTR) => continue,
                other => break other?,
            }
        };
        let mut received = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                // SAFETY: the kernel has just installed these descriptors for this message, and
                // nobody else knows their numbers.
                received.extend(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        Ok(received.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn only_the_child_it_is_shared_with_inherits_a_descriptor() {
        let file = OwnedFd::from(File::open("/dev/null").expect("/dev/null"));
        let mut command = Command::new("sh");
        let number = share_with_child(&mut command, file).expect("shared");
        let test = format!("test -e /proc/self/fd/{number}");
        let without = Command::new("sh").args(["-c", &test]).status().expect("sh runs");
        assert!(!without.success(), "another child sees it");
        let with = command.args(["-c", &test]).stdin(Stdio::null()).status().expect("sh runs");
        assert!(with.success(), "the child does not see it");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_that_closes_without_a_descriptor_has_none() {
        use std::os::unix::net::UnixStream;

        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        drop(theirs);
        assert!(receive_descriptor(&ours).expect("no error").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_mount_has_one_stamp() {
        use std::path::Path;

        let root = stamp(Path::new("/")).expect("the root directory");
        assert_eq!(stamp(Path::new("/")).expect("the root directory"), root);
        assert_ne!(stamp(Path::new("/proc")).expect("proc"), root);
    }
}
