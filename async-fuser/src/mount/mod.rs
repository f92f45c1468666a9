//! Mounting and unmounting: from a directory and options to the descriptor of a connection.
//!
//! On Linux `mount(2)` is tried first, and where that is not permitted `fusermount3` does it; the
//! features `libfuse2` and `libfuse3` leave both to the C library. The BSDs have `mount_fusefs`,
//! macOS has macFUSE's libfuse.

mod error;
mod options;
#[cfg(not(target_os = "macos"))]
mod syscall;

#[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
mod libfuse;

#[cfg(target_os = "linux")]
mod fusermount;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod bsd;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
use bsd as platform;

#[cfg(all(target_os = "macos", mount_with = "libfuse2"))]
mod macos;
#[cfg(all(target_os = "macos", mount_with = "libfuse2"))]
use macos as platform;

#[cfg(all(target_os = "macos", not(mount_with = "libfuse2")))]
mod no_mount;
#[cfg(all(target_os = "macos", not(mount_with = "libfuse2")))]
use no_mount as platform;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::{debug, warn};
use nix::errno::Errno;

use error::MountError;
pub use options::{Config, MountOption, SessionACL};

/// A filesystem that is mounted, until it is unmounted or dropped.
///
/// Unmounting may wait for the filesystem: the kernel first writes back what is still dirty. So
/// whoever unmounts either lets the session go on serving meanwhile, or has closed every
/// descriptor of the connection before, upon which the kernel gives those pages up.
#[derive(Debug)]
pub(crate) struct Mount {
    mountpoint: PathBuf,
    /// `None` once it is unmounted.
    held: Option<platform::Held>,
}

/// How an unmount went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(all(target_os = "macos", not(mount_with = "libfuse2")), allow(dead_code))]
pub(crate) enum Unmounted {
    /// Nobody used the filesystem, and the connection has ended.
    Clean,
    /// The filesystem has left its path, and ends at the latest when the last file in it is closed.
    Lazily,
    /// It was not mounted any more.
    Already,
}

impl Mount {
    /// Checks the options, mounts on `mountpoint`, and returns the connection's descriptor.
    ///
    /// The mountpoint may be relative, have symlinks in it, or be a file. All descriptors made on
    /// the way are close-on-exec from birth; only within the C library, where a libfuse feature
    /// asks for it, they may become so a moment later.
    pub(crate) fn new(mountpoint: &Path, config: &Config) -> io::Result<(OwnedFd, Self)> {
        config.check()?;
        let (mountpoint, mode) = find(mountpoint, config)?;
        let (connection, held) = platform::mount(&mountpoint, mode, config)?;
        debug!("mounted on {mountpoint:?}");
        Ok((connection, Self { mountpoint, held: Some(held) }))
    }

    /// Unmounts, lazily if the filesystem is in use; a second call does nothing.
    ///
    /// What was unmounted from outside is left alone, whatever is at its path by now. After an
    /// error the filesystem counts as still mounted, and the call can be repeated.
    pub(crate) fn unmount(&mut self) -> io::Result<Unmounted> {
        let Some(held) = &mut self.held else { return Ok(Unmounted::Already) };
        let unmounted = held.unmount()?;
        debug!("unmounted from {:?}: {unmounted:?}", self.mountpoint);
        self.held = None;
        Ok(unmounted)
    }

    /// The number the kernel has for the connection, which is that of the mount's device.
    pub(crate) fn connection(&self) -> Option<u32> {
        self.held.as_ref()?.connection()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            warn!("{error}");
        }
    }
}

/// The mountpoint's real path, which no later `chdir` changes, and its mode.
fn find(mountpoint: &Path, config: &Config) -> io::Result<(PathBuf, u32)> {
    let look = || -> io::Result<_> {
        let path = mountpoint.canonicalize()?;
        let mode = fs::metadata(&path)?.mode();
        Ok((path, mode))
    };
    let mut found = look();
    // Dead mounts may lie on top of each other.
    for _ in 0..STALE_MOUNTS_AT_MOST {
        let stale = match &found {
            // The kernel may still know the attributes of the root.
            Ok((path, _)) => platform::is_stale(path),
            Err(error) => error.raw_os_error() == Some(Errno::ENOTCONN as i32),
        };
        if !stale {
            break;
        }
        if !config.recover_stale {
            found = Err(Errno::ENOTCONN.into());
            break;
        }
        platform::recover(mountpoint)?;
        found = look();
    }
    found.map_err(|error| {
        let advice = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) => Some("create the directory first"),
            Some(Errno::ENOTDIR) => Some("a part of this path is not a directory"),
            Some(Errno::EACCES) => Some(
                "the path must be open to you; where another user has a FUSE filesystem mounted, \
                 only that user sees anything",
            ),
            Some(Errno::ENOTCONN) => Some(STALE),
            _ => None,
        };
        MountError::system("cannot mount on", mountpoint, error, advice)
    })
}

const STALE_MOUNTS_AT_MOST: usize = 16;

const STALE: &str = "a FUSE filesystem is still mounted there whose server has died: unmount it \
                     with 'fusermount3 -u -z' (as root 'umount -l'), or set Config::recover_stale";

#[cfg_attr(target_os = "macos", allow(dead_code))]
const NO_DEVICE: &str = "load the kernel module with 'modprobe fuse'; a container has to be given \
                         the device (for example '--device /dev/fuse')";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mountpoint: &str) -> io::Error {
        Mount::new(Path::new(mountpoint), &Config::default()).expect_err("nothing to mount on")
    }

    #[test]
    fn a_mountpoint_that_is_not_there_is_an_error_that_names_it() {
        let error = refused("/no/such/place");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let text = error.to_string();
        assert!(text.contains("/no/such/place") && text.contains("create"), "{text}");
        assert_eq!(refused("").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_path_through_a_file_is_an_error_that_says_so() {
        let error = refused("/dev/null/x");
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert!(error.to_string().contains("not a directory"), "{error}");
    }

    #[test]
    fn a_path_with_a_nul_byte_is_an_error() {
        assert_eq!(refused("/tmp\0").kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn options_are_checked_before_the_mountpoint() {
        let mount_options = vec![MountOption::RO, MountOption::RW];
        let config = Config { mount_options, ..Config::default() };
        let error = Mount::new(Path::new("/no/such/place"), &config).expect_err("contradiction");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_mount_goes_between_threads() {
        fn goes<T: Send + Sync>() {}
        goes::<Mount>();
    }
}
