//! macOS: macFUSE's libfuse mounts.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, unmount};

use super::Unmounted;
use super::error::MountError;
use super::libfuse::{self, Library};
use super::options::Config;

/// What is needed to unmount again.
#[derive(Debug)]
pub(super) struct Held {
    /// These mounts are told apart by their path alone.
    path: PathBuf,
    _library: Library,
}

pub(super) fn mount(mountpoint: &Path, _mode: u32, config: &Config) -> io::Result<(OwnedFd, Held)> {
    let (connection, library) = libfuse::mount(mountpoint, config)?;
    Ok((connection, Held { path: mountpoint.to_owned(), _library: library }))
}

/// There is no asking a mount that may not answer, so only a refused `stat` tells.
pub(super) fn is_stale(_path: &Path) -> bool {
    false
}

/// Forces a dead mount off `mountpoint`.
pub(super) fn recover(mountpoint: &Path) -> io::Result<()> {
    unmount(mountpoint, MntFlags::MNT_FORCE)
        .map_err(|error| MountError::system("cannot unmount the dead", mountpoint, error, None))
}

impl Held {
    /// There is no such number here.
    pub(super) fn connection(&self) -> Option<u32> {
        None
    }

    pub(super) fn unmount(&mut self) -> io::Result<Unmounted> {
        let mut unmounted = Unmounted::Clean;
        let mut result = unmount(self.path.as_path(), MntFlags::empty());
        if result == Err(Errno::EBUSY) {
            // There is no lazy unmount here: what is open ends.
            unmounted = Unmounted::Lazily;
            result = unmount(self.path.as_path(), MntFlags::MNT_FORCE);
        }
        match result {
            Ok(()) => Ok(unmounted),
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(Unmounted::Already),
            Err(error) => Err(MountError::system("cannot unmount", &self.path, error, None)),
        }
    }
}
