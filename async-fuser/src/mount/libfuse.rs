//! Mounting through the C library: libfuse 3 as a session, libfuse 2 as two functions.

#![allow(unsafe_code)] // calls into C

use std::ffi::{CString, c_char, c_int};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;

use super::error::MountError;
use super::options::Config;

#[cfg(mount_with = "libfuse2")]
pub(super) use two::{Library, mount};

#[cfg(mount_with = "libfuse3")]
pub(super) use three::{Library, mount};

/// The C library's argument vector.
#[repr(C)]
struct FuseArgs {
    argc: c_int,
    argv: *mut *mut c_char,
    /// Whether `argv` belongs to the library, as it does once it has parsed one.
    allocated: c_int,
}

/// Calls `then` with the options of `config` in the form that the library parses, which may
/// replace them by what it did not consume.
fn with_args<T>(config: &Config, then: impl FnOnce(&mut FuseArgs) -> T) -> io::Result<T> {
    let mut texts = vec![c"async-fuser".to_owned()];
    let options = config.helper_options();
    if !options.is_empty() {
        texts.extend([c"-o".to_owned(), CString::new(options)?]);
    }
    let argc = texts.len() as c_int;
    let mut argv: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
    argv.push(ptr::null_mut());
    let mut args = FuseArgs { argc, argv: argv.as_mut_ptr(), allocated: 0 };
    let result = then(&mut args);
    // SAFETY: `args` is either as we made it, and then `allocated` is 0 and nothing is freed, or
    // as the library left it, and then it is the library's own to free.
    unsafe { fuse_opt_free_args(&mut args) };
    Ok(result)
}

/// The library's failure. It has told standard error, and may have left an `errno`.
fn failed(mountpoint: &Path) -> io::Error {
    const STEP: &str = "libfuse cannot mount on";
    const ADVICE: &str = "it has written the reason to standard error";
    match Errno::last_raw() {
        0 => MountError::because(ErrorKind::Other, STEP, mountpoint, ADVICE, None),
        errno => {
            let error = io::Error::from_raw_os_error(errno);
            MountError::system(STEP, mountpoint, error, Some(ADVICE))
        }
    }
}

unsafe extern "C" {
    fn fuse_opt_free_args(args: *mut FuseArgs);
}

#[cfg(mount_with = "libfuse2")]
mod two {
    use std::os::fd::FromRawFd;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    /// The library keeps nothing of a mount.
    #[derive(Debug)]
    pub(in crate::mount) struct Library;

    pub(in crate::mount) fn mount(
        mountpoint: &Path,
        config: &Config,
    ) -> io::Result<(OwnedFd, Library)> {
        let path = CString::new(mountpoint.as_os_str().as_bytes())?;
        Errno::clear();
        // SAFETY: `path` is a NUL-terminated string and `args` a valid argument vector, both for
        // the time of the call.
        let number = with_args(config, |args| unsafe { fuse_mount_compat25(path.as_ptr(), args) })?;
        if number < 0 {
            return Err(failed(mountpoint));
        }
        // SAFETY: the library has opened this descriptor for its caller, who is to close it.
        let connection = unsafe { OwnedFd::from_raw_fd(number) };
        fcntl(&connection, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok((connection, Library))
    }

    impl Library {
        #[cfg(target_os = "linux")]
        pub(in crate::mount) fn unmount(&mut self, mountpoint: &Path) -> io::Result<()> {
            let path = CString::new(mountpoint.as_os_str().as_bytes())?;
            // SAFETY: `path` is a NUL-terminated string, and the library keeps nothing of it.
            unsafe { fuse_unmount_compat22(path.as_ptr()) };
            Ok(())
        }
    }

    unsafe extern "C" {
        fn fuse_mount_compat25(mountpoint: *const c_char, args: *mut FuseArgs) -> c_int;
        #[cfg(target_os = "linux")]
        fn fuse_unmount_compat22(mountpoint: *const c_char);
    }
}

#[cfg(mount_with = "libfuse3")]
mod three {
    use std::ffi::c_void;
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::ptr::NonNull;

    use super::*;

    /// A session of the library, used for nothing but its mount. Invariant: the pointer is a
    /// live `struct fuse_session` that nobody else has. Once mounted, it has a closed socket in
    /// place of the connection, which therefore ends with our own descriptors.
    #[derive(Debug)]
    pub(in crate::mount) struct Library(NonNull<c_void>);

    // SAFETY: a session is plain memory that is bound to no thread, and ours alone.
    unsafe impl Send for Library {}
    // SAFETY: nothing can be done with a `&Library` but print its address.
    unsafe impl Sync for Library {}

    pub(in crate::mount) fn mount(
        mountpoint: &Path,
        config: &Config,
    ) -> io::Result<(OwnedFd, Library)> {
        let path = CString::new(mountpoint.as_os_str().as_bytes())?;
        Errno::clear();
        let no_operations = 0_usize;
        // SAFETY: `args` is valid for the call, and of the operations the library reads as many
        // bytes as it is told, none.
        let session = with_args(config, |args| unsafe {
            let operations = ptr::from_ref(&no_operations).cast();
            fuse_session_new(args, operations, 0, ptr::null_mut())
        })?;
        let library = Library(NonNull::new(session).ok_or_else(|| failed(mountpoint))?);
        // SAFETY: by `Library`'s invariant the session lives; `path` is NUL-terminated, and the
        // library copies it.
        if unsafe { fuse_session_mount(library.0.as_ptr(), path.as_ptr()) } != 0 {
            return Err(failed(mountpoint));
        }
        // SAFETY: by `Library`'s invariant the session lives.
        let number = unsafe { fuse_session_fd(library.0.as_ptr()) };
        if number < 0 {
            return Err(failed(mountpoint));
        }
        let connection = take_connection(number).inspect_err(|_| library.detach())?;
        Ok((connection, library))
    }

    /// Takes the connection out of the session that has it open as `number`.
    fn take_connection(number: c_int) -> io::Result<OwnedFd> {
        // SAFETY: the session keeps its descriptor open until it unmounts, which only we have
        // it do, and not before this function returns.
        let connection = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
        let (stand_in, _) = UnixStream::pair()?;
        // SAFETY: `number` stays an open descriptor of the session, which only ever polls and
        // closes it.
        if unsafe { libc::dup3(stand_in.as_raw_fd(), number, libc::O_CLOEXEC) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(connection)
    }

    impl Library {
        pub(in crate::mount) fn unmount(&mut self, _mountpoint: &Path) -> io::Result<()> {
            self.detach();
            Ok(())
        }

        /// Unmounts lazily, at most once, and closes the session's own descriptor.
        fn detach(&self) {
            // SAFETY: by `Library`'s invariant the session lives, and it is called from one
            // thread at a time: by its maker, or through `&mut`.
            unsafe { fuse_session_unmount(self.0.as_ptr()) };
        }
    }

    impl Drop for Library {
        fn drop(&mut self) {
            // SAFETY: by `Library`'s invariant the session lives, and this is its last use. It
            // closes its descriptor if it has one, and unmounts nothing.
            unsafe { fuse_session_destroy(self.0.as_ptr()) };
        }
    }

    unsafe extern "C" {
        fn fuse_session_new(
            args: *mut FuseArgs,
            operations: *const c_void,
            operations_size: usize,
            user_data: *mut c_void,
        ) -> *mut c_void;
        fn fuse_session_mount(session: *mut c_void, mountpoint: *const c_char) -> c_int;
        fn fuse_session_fd(session: *mut c_void) -> c_int;
        fn fuse_session_unmount(session: *mut c_void);
        fn fuse_session_destroy(session: *mut c_void);
    }
}
