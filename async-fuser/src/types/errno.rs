//! Why an operation failed.

use std::error::Error;
use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, ErrorKind};
use std::num::NonZeroI32;

/// The error an operation fails with.
///
/// The kernel hands it to the caller as `errno`. One of them it also takes as an answer to itself:
/// after [`ENOSYS`](Self::ENOSYS) it does not ask for most operations again while the filesystem is
/// mounted, and does without.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
// Invariant: the code is positive.
pub struct Errno(NonZeroI32);

impl Errno {
    /// The error with this code; [`EIO`](Self::EIO) if the code is zero or negative.
    pub fn from_i32(err: i32) -> Self {
        match NonZeroI32::new(err) {
            Some(code) if err > 0 => Self(code),
            _ => Self::EIO,
        }
    }

    /// The code, always positive.
    pub fn code(self) -> i32 {
        self.0.get()
    }

    /// What the header of a reply says: the code negated.
    ///
    /// The kernel refuses a reply with a code of 512 or more, and its caller would wait for ever:
    /// such a code becomes that of [`EIO`](Self::EIO).
    pub(crate) fn in_reply(self) -> i32 {
        match self.code() {
            code @ ..512 => -code,
            _ => -libc::EIO,
        }
    }

    /// The symbol and the meaning of the code, if it is one of the constants.
    fn known(self) -> Option<(&'static str, &'static str)> {
        let (_, name, meaning) = KNOWN.iter().find(|(known, ..)| *known == self)?;
        Some((name, meaning))
    }
}

impl Debug for Errno {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((name, _)) => f.write_str(name),
            None => f.debug_tuple("Errno").field(&self.code()).finish(),
        }
    }
}

impl Display for Errno {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((name, meaning)) => write!(f, "{meaning} ({name})"),
            None => write!(f, "error {}", self.code()),
        }
    }
}

impl Error for Errno {}

/// The code the system gave; without one, the `Errno` inside or the closest to the error's kind.
impl From<io::Error> for Errno {
    fn from(err: io::Error) -> Self {
        if let Some(code) = err.raw_os_error() {
            return Self::from_i32(code);
        }
        let inside = err.get_ref().and_then(|inner| inner.downcast_ref::<Self>());
        inside.copied().unwrap_or_else(|| err.kind().into())
    }
}

/// The closest to a kind; [`EIO`](Self::EIO) for those that have nothing close. Never
/// [`ENOSYS`](Self::ENOSYS), which would switch the operation off.
impl From<ErrorKind> for Errno {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::ENOENT,
            ErrorKind::PermissionDenied => Self::EACCES,
            ErrorKind::ConnectionRefused => Self::ECONNREFUSED,
            ErrorKind::ConnectionReset => Self::ECONNRESET,
            ErrorKind::HostUnreachable => Self::EHOSTUNREACH,
            ErrorKind::NetworkUnreachable => Self::ENETUNREACH,
            ErrorKind::ConnectionAborted => Self::ECONNABORTED,
            ErrorKind::NotConnected => Self::ENOTCONN,
            ErrorKind::AddrInUse => Self::EADDRINUSE,
            ErrorKind::AddrNotAvailable => Self::EADDRNOTAVAIL,
            ErrorKind::NetworkDown => Self::ENETDOWN,
            ErrorKind::BrokenPipe => Self::EPIPE,
            ErrorKind::AlreadyExists => Self::EEXIST,
            ErrorKind::WouldBlock => Self::EAGAIN,
            ErrorKind::NotADirectory => Self::ENOTDIR,
            ErrorKind::IsADirectory => Self::EISDIR,
            ErrorKind::DirectoryNotEmpty => Self::ENOTEMPTY,
            ErrorKind::ReadOnlyFilesystem => Self::EROFS,
            ErrorKind::StaleNetworkFileHandle => Self::ESTALE,
            ErrorKind::InvalidInput => Self::EINVAL,
            ErrorKind::TimedOut => Self::ETIMEDOUT,
            ErrorKind::StorageFull => Self::ENOSPC,
            ErrorKind::NotSeekable => Self::ESPIPE,
            ErrorKind::QuotaExceeded => Self::EDQUOT,
            ErrorKind::FileTooLarge => Self::EFBIG,
            ErrorKind::ResourceBusy => Self::EBUSY,
            ErrorKind::ExecutableFileBusy => Self::ETXTBSY,
            ErrorKind::Deadlock => Self::EDEADLK,
            ErrorKind::CrossesDevices => Self::EXDEV,
            ErrorKind::TooManyLinks => Self::EMLINK,
            ErrorKind::ArgumentListTooLong => Self::E2BIG,
            ErrorKind::Interrupted => Self::EINTR,
            ErrorKind::Unsupported => Self::EOPNOTSUPP,
            ErrorKind::OutOfMemory => Self::ENOMEM,
            _ => Self::EIO,
        }
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::from_i32(errno as i32)
    }
}

impl From<Errno> for i32 {
    fn from(errno: Errno) -> Self {
        errno.code()
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.code())
    }
}

/// Writes the errors down once: as constants, and as the table their names are looked up in. Where
/// a platform has one code for two names, the first counts.
macro_rules! errnos {
    ($($(#[cfg($cfg:meta)])? $name:ident: $meaning:literal,)*) => {
        impl Errno {
            $(
                $(#[cfg($cfg)])?
                #[doc = concat!("`", stringify!($name), "`: ", $meaning, ".")]
                pub const $name: Self = match NonZeroI32::new(libc::$name) {
                    Some(code) => Self(code),
                    None => panic!("no error has the code 0"),
                };
            )*
        }

        const KNOWN: &[(Errno, &str, &str)] = &[
            $($(#[cfg($cfg)])? (Errno::$name, stringify!($name), $meaning),)*
        ];
    };
}

errnos! {
    EPERM: "not permitted, whoever owns the file",
    ENOENT: "no such file or directory",
    ESRCH: "no such process",
    EINTR: "interrupted by a signal",
    EIO: "input or output failed",
    ENXIO: "no such device or address",
    E2BIG: "argument list too long",
    ENOEXEC: "not in a format that can be executed",
    EBADF: "bad file descriptor",
    ECHILD: "no child processes",
    EAGAIN: "not available now, try again",
    ENOMEM: "out of memory",
    EACCES: "permission denied",
    EFAULT: "bad address",
    ENOTBLK: "not a block device",
    EBUSY: "in use",
    EEXIST: "already exists",
    EXDEV: "on another file system",
    ENODEV: "not supported by the device",
    ENOTDIR: "not a directory",
    EISDIR: "is a directory",
    EINVAL: "invalid argument",
    ENFILE: "too many open files in the system",
    EMFILE: "too many open files in the process",
    ENOTTY: "ioctl not known to the device",
    ETXTBSY: "the program is being executed",
    EFBIG: "file too large",
    ENOSPC: "no space left",
    ESPIPE: "not seekable",
    EROFS: "read-only file system",
    EMLINK: "too many links",
    EPIPE: "nobody reads the other end",
    EDOM: "argument outside of the domain",
    ERANGE: "result too large",
    EDEADLK: "would wait for ever",
    ENAMETOOLONG: "name too long",
    ENOLCK: "no locks available",
    ENOSYS: "not implemented",
    ENOTEMPTY: "directory not empty",
    ELOOP: "too many symbolic links on the way",
    EWOULDBLOCK: "would have to wait",
    ENOMSG: "no message of that type",
    EIDRM: "identifier removed",
    EREMOTE: "is remote",
    ENOLINK: "the link is cut",
    EPROTO: "protocol error",
    EMULTIHOP: "more than one hop",
    EBADMSG: "bad message",
    EOVERFLOW: "value too large for its type",
    EILSEQ: "invalid sequence of bytes",
    EUSERS: "too many users",
    ENOTSOCK: "not a socket",
    EDESTADDRREQ: "needs a destination address",
    EMSGSIZE: "message too long",
    EPROTOTYPE: "wrong protocol for the socket",
    ENOPROTOOPT: "no such protocol option",
    EPROTONOSUPPORT: "protocol not supported",
    ESOCKTNOSUPPORT: "socket type not supported",
    EOPNOTSUPP: "operation not supported",
    EPFNOSUPPORT: "protocol family not supported",
    EAFNOSUPPORT: "address family not supported",
    EADDRINUSE: "address in use",
    EADDRNOTAVAIL: "address not available",
    ENETDOWN: "the network is down",
    ENETUNREACH: "the network is out of reach",
    ENETRESET: "the network dropped the connection",
    ECONNABORTED: "connection aborted",
    ECONNRESET: "connection reset by the other side",
    ENOBUFS: "no buffers left",
    EISCONN: "already connected",
    ENOTCONN: "not connected",
    ESHUTDOWN: "shut down for sending",
    ETOOMANYREFS: "too many references",
    ETIMEDOUT: "timed out",
    ECONNREFUSED: "connection refused",
    EHOSTDOWN: "the host is down",
    EHOSTUNREACH: "the host is out of reach",
    EALREADY: "already under way",
    EINPROGRESS: "now under way",
    ESTALE: "stale file handle",
    EDQUOT: "quota exceeded",
    ECANCELED: "cancelled",
    EOWNERDEAD: "the owner died",
    ENOTRECOVERABLE: "cannot be recovered",
    ENOTSUP: "not supported",
    #[cfg(target_os = "linux")]
    ENODATA: "no data, or no such extended attribute",
    #[cfg(not(target_os = "linux"))]
    ENOATTR: "no such extended attribute",
    #[cfg(any(target_os = "freebsd", target_os = "macos"))]
    EFTYPE: "wrong type of file",
}

impl Errno {
    /// The file has no extended attribute of that name: `ENODATA` or `ENOATTR`, by platform.
    #[cfg(target_os = "linux")]
    pub const NO_XATTR: Self = Self::ENODATA;

    /// The file has no extended attribute of that name: `ENODATA` or `ENOATTR`, by platform.
    #[cfg(not(target_os = "linux"))]
    pub const NO_XATTR: Self = Self::ENOATTR;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_no_error_becomes_eio() {
        assert_eq!(Errno::from_i32(0), Errno::EIO);
        assert_eq!(Errno::from_i32(-libc::ENOENT), Errno::EIO);
        assert_eq!(Errno::from_i32(i32::MIN), Errno::EIO);
        assert_eq!(Errno::from_i32(libc::ENOENT), Errno::ENOENT);
        assert_eq!(Errno::from_i32(i32::MAX).code(), i32::MAX);
    }

    #[test]
    fn errors_print_their_names() {
        assert_eq!(format!("{:?}", Errno::ENOENT), "ENOENT");
        assert_eq!(format!("{:?}", Errno::EWOULDBLOCK), "EAGAIN");
        assert_eq!(format!("{:?}", Errno::from_i32(4711)), "Errno(4711)");
        assert_eq!(Errno::ENOENT.to_string(), "no such file or directory (ENOENT)");
        assert_eq!(Errno::from_i32(4711).to_string(), "error 4711");
    }

    #[test]
    fn an_error_of_the_system_keeps_its_code_there_and_back() {
        let err = io::Error::from_raw_os_error(libc::ENAMETOOLONG);
        assert_eq!(Errno::from(err), Errno::ENAMETOOLONG);
        assert_eq!(io::Error::from(Errno::EXDEV).raw_os_error(), Some(libc::EXDEV));
        for (errno, ..) in KNOWN {
            assert_eq!(Errno::from(io::Error::from(*errno)), *errno);
        }
    }

    #[test]
    fn an_error_without_a_code_becomes_what_its_kind_says() {
        assert_eq!(Errno::from(ErrorKind::NotFound), Errno::ENOENT);
        assert_eq!(Errno::from(io::Error::new(ErrorKind::StorageFull, "full")), Errno::ENOSPC);
        assert_eq!(Errno::from(ErrorKind::Unsupported), Errno::EOPNOTSUPP);
        assert_eq!(Errno::from(io::Error::other("who knows")), Errno::EIO);
        assert_eq!(Errno::from(io::Error::other(Errno::EDQUOT)), Errno::EDQUOT);
        assert_eq!(Errno::from(io::Error::from_raw_os_error(0)), Errno::EIO);
    }

    #[test]
    fn a_kind_agrees_with_the_standard_library_about_the_code() {
        for (errno, name, _) in KNOWN {
            let kind = io::Error::from(*errno).kind();
            let back = Errno::from(kind);
            // Several codes share these kinds, and kinds newer than the oldest compiler are EIO.
            let shared = matches!(kind, ErrorKind::PermissionDenied | ErrorKind::Unsupported);
            assert!(back == *errno || back == Errno::EIO || shared, "{name} became {back:?}");
        }
    }

    #[test]
    fn a_reply_carries_no_code_that_the_kernel_refuses() {
        assert_eq!(Errno::ENOENT.in_reply(), -libc::ENOENT);
        assert_eq!(Errno::from_i32(511).in_reply(), -511);
        assert_eq!(Errno::from_i32(512).in_reply(), -libc::EIO);
        assert_eq!(Errno::from_i32(i32::MAX).in_reply(), -libc::EIO);
    }

    #[test]
    fn constants_are_the_platforms_and_can_be_matched_on() {
        assert_eq!(i32::from(Errno::ENOTRECOVERABLE), libc::ENOTRECOVERABLE);
        assert!(matches!(Errno::from_i32(libc::ENOSYS), Errno::ENOSYS));
        #[cfg(target_os = "linux")]
        assert_eq!(Errno::NO_XATTR.code(), libc::ENODATA);
        #[cfg(not(target_os = "linux"))]
        assert_eq!(Errno::NO_XATTR.code(), libc::ENOATTR);
        for (errno, name, meaning) in KNOWN {
            assert!(errno.code() > 0 && errno.code() < 512, "{name} is {}", errno.code());
            assert!(!meaning.is_empty());
        }
    }
}
