//! FreeBSD and its relatives: `mount_fusefs` mounts, given an open device.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, unmount};

use super::error::MountError;
use super::options::Config;
use super::syscall::share_with_child;
use super::{NO_DEVICE, Unmounted};
use crate::transport::is_connected;

/// What is needed to unmount again.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    /// Asked whether the mount is still there. These systems do not number their mounts.
    connection: OwnedFd,
}

pub(super) fn mount(mountpoint: &Path, _mode: u32, config: &Config) -> io::Result<(OwnedFd, Held)> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device = device.map_err(|error| {
        MountError::system("cannot open", Path::new(DEVICE), error, Some(NO_DEVICE))
    })?;
    let connection = OwnedFd::from(device);
    let held = Held { path: mountpoint.to_owned(), connection: connection.try_clone()? };

    let mut command = Command::new(PROGRAM);
    let number = share_with_child(&mut command, connection.try_clone()?)?;
    let options = config.helper_options();
    if !options.is_empty() {
        command.arg("-o").arg(options);
    }
    command.arg(number.to_string()).arg(mountpoint).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        let advice =
            (error.kind() == ErrorKind::NotFound).then_some("is this system's FUSE installed?");
        MountError::system("cannot run", Path::new(PROGRAM), error, advice)
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let what = format!("{PROGRAM} says: {}", words.trim());
        let advice = "an ordinary user may mount where the sysctl vfs.usermount is 1";
        return Err(MountError::because(
            ErrorKind::Other,
            "cannot mount on",
            mountpoint,
            what,
            Some(advice),
        ));
    }
    Ok((connection, held))
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
        if !is_connected(self.connection.as_fd()) {
            return Ok(Unmounted::Already);
        }
        let mut unmounted = Unmounted::Clean;
        let mut result = unmount(&self.path, MntFlags::empty());
        if result == Err(Errno::EBUSY) {
            // There is no lazy unmount here: what is open ends.
            unmounted = Unmounted::Lazily;
            result = unmount(&self.path, MntFlags::MNT_FORCE);
        }
        match result {
            Ok(()) => Ok(unmounted),
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(Unmounted::Already),
            Err(error) => Err(MountError::system("cannot unmount", &self.path, error, None)),
        }
    }
}

const DEVICE: &str = "/dev/fuse";
const PROGRAM: &str = "mount_fusefs";
