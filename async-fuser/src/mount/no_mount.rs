//! macOS without macFUSE: everything but mounting, so that it can be built and tested anywhere.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use super::Unmounted;
use super::error::MountError;
use super::options::Config;

/// There is never anything to hold.
#[derive(Debug)]
pub(super) enum Held {}

pub(super) fn mount(
    mountpoint: &Path,
    _mode: u32,
    _config: &Config,
) -> io::Result<(OwnedFd, Held)> {
    Err(MountError::because(
        ErrorKind::Unsupported,
        "cannot mount on",
        mountpoint,
        "this program was built with the feature macos-no-mount",
        Some("build it without, with macFUSE installed"),
    ))
}

pub(super) fn is_stale(_path: &Path) -> bool {
    false
}

pub(super) fn recover(mountpoint: &Path) -> io::Result<()> {
    Err(MountError::because(
        ErrorKind::Unsupported,
        "cannot unmount",
        mountpoint,
        "this program was built with the feature macos-no-mount",
        None,
    ))
}

impl Held {
    /// There is no such number here.
    pub(super) fn connection(&self) -> Option<u32> {
        None
    }

    pub(super) fn unmount(&mut self) -> io::Result<Unmounted> {
        match *self {}
    }
}
