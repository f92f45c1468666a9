//! Linux: `mount(2)`, and the helper where that is not permitted.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use log::info;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{getgid, getuid};

use super::error::MountError;
use super::fusermount::{self, Guardian};
pub(super) use super::identity::is_stale;
use super::identity::{Identity, Place};
#[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
use super::libfuse::{self, Library};
use super::options::{Config, MountOption};
use super::{NO_DEVICE, STALE, Unmounted};

/// What is needed to unmount again.
#[derive(Debug)]
pub(super) struct Held {
    identity: Identity,
    #[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
    library: Option<Library>,
    /// Only ever dropped, upon which the helper ends; `None` without `auto_unmount`.
    _guardian: Option<Guardian>,
}

/// Mounts on `mountpoint`, whose path is resolved and whose mode is `mode`.
pub(super) fn mount(mountpoint: &Path, mode: u32, config: &Config) -> io::Result<(OwnedFd, Held)> {
    let before = Identity::before(mountpoint);
    #[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
    if !config.wants_auto_unmount() {
        // The C library never lets go of its helper's socket, so it does not do `auto_unmount`.
        let _ = mode;
        let (connection, library) = libfuse::mount(mountpoint, config)?;
        let identity = record(mountpoint, before, &connection)?;
        return Ok((connection, Held { identity, library: Some(library), _guardian: None }));
    }
    let (connection, guardian) = mount_without_library(mountpoint, mode, config)?;
    let identity = record(mountpoint, before, &connection)?;
    Ok((
        connection,
        Held {
            identity,
            #[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
            library: None,
            _guardian: guardian,
        },
    ))
}

/// Detaches a mount at `mountpoint` whose server died.
pub(super) fn recover(mountpoint: &Path) -> io::Result<()> {
    // Some C libraries resolve a path by asking for its attributes, which a dead mount refuses.
    let path = mountpoint.canonicalize().or_else(|error| {
        let (Some(parent), Some(name)) = (mountpoint.parent(), mountpoint.file_name()) else {
            return Err(error);
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Ok(parent.canonicalize()?.join(name))
    });
    let path =
        path.map_err(|e| MountError::system("cannot mount on", mountpoint, e, Some(STALE)))?;
    if !is_stale(&path) {
        return Err(MountError::because(
            ErrorKind::NotConnected,
            "cannot mount on",
            mountpoint,
            Errno::ENOTCONN.desc(),
            Some("it is not itself a dead FUSE mount, so it was left alone"),
        ));
    }
    match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EPERM) => fusermount::unmount(&path, true)?,
        done => {
            done.map_err(|e| MountError::system("cannot unmount the dead", &path, e, None))?;
        }
    }
    info!("detached the dead FUSE mount at {path:?}");
    Ok(())
}

impl Held {
    pub(super) fn connection(&self) -> Option<u32> {
        self.identity.connection()
    }

    pub(super) fn unmount(&mut self) -> io::Result<Unmounted> {
        match self.identity.place() {
            Place::At(path) => self.unmount_at(&path),
            Place::Gone => Ok(Unmounted::Already),
            Place::Covered(path) => Err(MountError::because(
                ErrorKind::ResourceBusy,
                "cannot unmount",
                &path,
                "another filesystem is mounted over it",
                Some("unmount that one first"),
            )),
        }
    }

    fn unmount_at(&mut self, path: &Path) -> io::Result<Unmounted> {
        let lazily = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        let mut unmounted = Unmounted::Clean;
        let mut result = umount2(path, MntFlags::UMOUNT_NOFOLLOW);
        if result == Err(Errno::EBUSY) {
            unmounted = Unmounted::Lazily;
            result = umount2(path, lazily);
        }
        match result {
            Ok(()) => Ok(unmounted),
            Err(Errno::EPERM) => self.unmount_through_others(path),
            // Someone else was faster.
            Err(_) if self.identity.place() == Place::Gone => Ok(Unmounted::Already),
            Err(error) => Err(MountError::system("cannot unmount", path, error, None)),
        }
    }

    /// Ordinary users' mounts are unmounted by whom they were mounted by.
    fn unmount_through_others(&mut self, path: &Path) -> io::Result<Unmounted> {
        #[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
        if let Some(mut library) = self.library.take_if(|_| path == self.identity.path()) {
            library.unmount(path)?; // which does not tell how it went
            if self.identity.place() == Place::Gone {
                return Ok(Unmounted::Lazily);
            }
        }
        let (mut unmounted, mut result) = (Unmounted::Clean, fusermount::unmount(path, false));
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
            (unmounted, result) = (Unmounted::Lazily, fusermount::unmount(path, true));
        }
        match result {
            Ok(()) => Ok(unmounted),
            Err(_) if self.identity.place() == Place::Gone => Ok(Unmounted::Already),
            Err(error) => Err(error),
        }
    }
}

fn record(mountpoint: &Path, before: Option<u64>, connection: &OwnedFd) -> io::Result<Identity> {
    Identity::record(mountpoint, before, connection).inspect_err(|_| {
        let lazily = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        if umount2(mountpoint, lazily) == Err(Errno::EPERM) {
            let _ = fusermount::unmount(mountpoint, true);
        }
    })
}

fn mount_without_library(
    mountpoint: &Path,
    mode: u32,
    config: &Config,
) -> io::Result<(OwnedFd, Option<Guardian>)> {
    if config.wants_auto_unmount() {
        return fusermount::mount(mountpoint, config);
    }
    match mount_directly(mountpoint, mode, config)? {
        Direct::Mounted(connection) => Ok((connection, None)),
        Direct::NotPermitted => fusermount::mount(mountpoint, config),
        // A helper may have its device elsewhere, as those that sandboxes put in its place do.
        Direct::NoDevice(error) => fusermount::mount(mountpoint, config).map_err(|helper| {
            if helper.kind() != ErrorKind::NotFound {
                return helper; // which has got further than we have
            }
            MountError::system("cannot open", Path::new(DEVICE), error, Some(NO_DEVICE))
        }),
    }
}

/// How far `mount(2)` got us.
enum Direct {
    Mounted(OwnedFd),
    /// Only a helper may.
    NotPermitted,
    /// There is no `/dev/fuse`.
    NoDevice(io::Error),
}

fn mount_directly(mountpoint: &Path, mode: u32, config: &Config) -> io::Result<Direct> {
    let device = match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => OwnedFd::from(device),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EACCES | Errno::EPERM) => return Ok(Direct::NotPermitted),
            Some(Errno::ENOENT) => return Ok(Direct::NoDevice(error)),
            _ => {
                let device = Path::new(DEVICE);
                return Err(MountError::system("cannot open", device, error, Some(NO_DEVICE)));
            }
        },
    };
    let asked = kernel_options(config);
    let data = format!(
        "fd={},rootmode={:o},user_id={},group_id={}{asked}",
        device.as_raw_fd(),
        mode & libc::S_IFMT,
        getuid(),
        getgid(),
    );
    if data.len() >= DATA_SIZE {
        let what = format!(
            "the mount options are {} bytes long, the kernel reads {DATA_SIZE}",
            data.len()
        );
        return Err(MountError::options(what));
    }
    let kind = config.subtype().map_or_else(|| "fuse".into(), |subtype| format!("fuse.{subtype}"));
    let source = config.source().unwrap_or(DEVICE);
    match nix::mount::mount(
        Some(source),
        mountpoint,
        Some(kind.as_str()),
        flags(config),
        Some(data.as_str()),
    ) {
        Ok(()) => Ok(Direct::Mounted(device)),
        Err(Errno::EPERM) => Ok(Direct::NotPermitted),
        Err(error) => {
            let refused = match asked.strip_prefix(',') {
                Some(asked) => format!("the kernel does not take the options '{asked}'"),
                None => format!("{DEVICE} is not the device of this kernel's FUSE"),
            };
            let advice = match error {
                Errno::EINVAL => Some(refused.as_str()),
                Errno::ENODEV => Some("this kernel has no FUSE: load it with 'modprobe fuse'"),
                Errno::EBUSY => Some("unmount what is mounted there first"),
                Errno::EACCES => Some("a security policy forbids it"),
                Errno::ENOTDIR => Some(
                    "what is mounted and what it is mounted on must both be directories, or both files",
                ),
                _ => None,
            };
            Err(MountError::system("cannot mount on", mountpoint, error, advice))
        }
    }
}

/// The options that the FUSE driver itself reads, each with a comma before it.
fn kernel_options(config: &Config) -> String {
    let mut text = String::new();
    for option in &config.mount_options {
        if matches!(option, MountOption::DefaultPermissions | MountOption::CUSTOM(_)) {
            text.push(',');
            text.push_str(&option.text());
        }
    }
    if let Some(acl) = config.acl.mount_option() {
        text.push(',');
        text.push_str(acl);
    }
    text
}

/// The options that every filesystem has. Devices and set-user-id bits have to be asked for.
fn flags(config: &Config) -> MsFlags {
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    for option in &config.mount_options {
        match option {
            MountOption::Dev => flags.remove(MsFlags::MS_NODEV),
            MountOption::Suid => flags.remove(MsFlags::MS_NOSUID),
            MountOption::RO => flags.insert(MsFlags::MS_RDONLY),
            MountOption::NoExec => flags.insert(MsFlags::MS_NOEXEC),
            MountOption::NoAtime => flags.insert(MsFlags::MS_NOATIME),
            MountOption::DirSync => flags.insert(MsFlags::MS_DIRSYNC),
            MountOption::Sync => flags.insert(MsFlags::MS_SYNCHRONOUS),
            _ => {}
        }
    }
    flags
}

const DEVICE: &str = "/dev/fuse";
/// How much of its data string `mount(2)` reads: a page of the smallest size there is.
const DATA_SIZE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::SessionACL;

    fn config(options: &[MountOption]) -> Config {
        Config { mount_options: options.to_vec(), ..Config::default() }
    }

    #[test]
    fn devices_and_set_user_id_are_off_unless_asked_for() {
        let off = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        assert_eq!(flags(&config(&[])), off);
        assert_eq!(flags(&config(&[MountOption::NoDev, MountOption::NoSuid])), off);
        assert_eq!(flags(&config(&[MountOption::Dev])), MsFlags::MS_NOSUID);
        assert_eq!(flags(&config(&[MountOption::Suid, MountOption::Dev])), MsFlags::empty());
        assert_eq!(
            flags(&config(&[MountOption::RO, MountOption::Sync])),
            off | MsFlags::MS_RDONLY | MsFlags::MS_SYNCHRONOUS
        );
    }

    #[test]
    fn the_driver_gets_only_the_options_it_knows() {
        let mut config = config(&[
            MountOption::FSName("a,b".into()),
            MountOption::Subtype("s".into()),
            MountOption::RO,
            MountOption::DefaultPermissions,
            MountOption::CUSTOM("max_read=4096".into()),
        ]);
        assert_eq!(kernel_options(&config), ",default_permissions,max_read=4096");
        config.acl = SessionACL::RootAndOwner;
        assert_eq!(kernel_options(&config), ",default_permissions,max_read=4096,allow_other");
    }
}
