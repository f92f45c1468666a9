//! Directories to mount on, and what is mounted.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::limit::{Test, wait};
use crate::require_fuse;

/// An empty directory to mount on.
///
/// Dropping it detaches whatever is still mounted there or below, without waiting for anybody, and
/// removes it.
#[derive(Debug)]
pub struct Mountpoint {
    base: PathBuf,
    path: PathBuf,
}

impl Mountpoint {
    /// A new one. Panics if this process may not mount.
    #[track_caller]
    pub fn new() -> Self {
        Self::named("mnt")
    }

    /// A new one whose last part is `name`.
    #[track_caller]
    pub fn named(name: impl AsRef<OsStr>) -> Self {
        require_fuse();
        let base = tempfile::Builder::new()
            .prefix("async-fuser-test-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary directory")
            // Nothing may ever be removed recursively where a filesystem could be mounted.
            .keep();
        let path = base.join(name.as_ref());
        fs::create_dir(&path).expect("a directory to mount on");
        lock(&KNOWN).push((Test::current(), path.clone(), Vec::new()));
        Self { base, path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something below it.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path.join(below)
    }

    /// The directory it is in, for other files of the same test.
    pub fn beside(&self) -> &Path {
        &self.base
    }

    /// Whether anything is mounted on it. Asks nobody who could hang.
    pub fn is_mounted(&self) -> bool {
        !self.mounts().is_empty()
    }

    /// What is mounted on it, the lowest first.
    pub fn mounts(&self) -> Vec<MountLine> {
        let mut mounts = mounts();
        mounts.retain(|mount| mount.path == self.path);
        mounts
    }

    /// The connection of the FUSE filesystem mounted last. Panics if there is none.
    #[track_caller]
    pub fn connection(&self) -> Connection {
        let mounts = self.mounts();
        let Some(mount) = mounts.iter().rev().find(|mount| mount.is_fuse()) else {
            panic!("no FUSE filesystem is mounted on {}: {mounts:?}", self.path.display())
        };
        let connection = Connection(mount.minor);
        for (_, path, connections) in &mut *lock(&KNOWN) {
            if *path == self.path && !connections.contains(&connection) {
                connections.push(connection);
            }
        }
        connection
    }

    /// Detaches all that is mounted on it or below: `umount -l`.
    pub fn detach(&self) {
        for mount in mounts().iter().rev() {
            if mount.path.starts_with(&self.path) {
                let _ = umount2(&mount.path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
            }
        }
    }
}

impl Default for Mountpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl AsRef<Path> for Mountpoint {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mountpoint {
    fn drop(&mut self) {
        self.detach();
        lock(&KNOWN).retain(|(_, path, _)| *path != self.path);
        // Only what is certainly ours and certainly not mounted on goes.
        if !self.is_mounted() && fs::remove_dir(&self.path).is_ok() {
            let _ = fs::remove_dir_all(&self.base);
        }
    }
}

/// A FUSE connection, as `/sys/fs/fuse/connections` numbers it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection(pub u32);

impl Connection {
    /// Aborts it: everybody who waits for an answer gets an error.
    #[track_caller]
    pub fn abort(self) {
        self.try_abort().unwrap_or_else(|error| panic!("{self:?} cannot be aborted: {error}"));
    }

    /// How many requests wait for an answer; `None` if the connection is no more.
    pub fn waiting(self) -> Option<u32> {
        with_control_files(|files| {
            fs::read_to_string(files.join(self.0.to_string()).join("waiting"))
        })
        .ok()
        .and_then(|text| text.trim().parse().ok())
    }

    /// Whether it is still there: mounted, or detached and in use.
    pub fn exists(self) -> bool {
        with_control_files(|files| fs::metadata(files.join(self.0.to_string()))).is_ok()
    }

    fn try_abort(self) -> io::Result<()> {
        with_control_files(|files| {
            let path = files.join(self.0.to_string()).join("abort");
            fs::OpenOptions::new().write(true).open(path)?.write_all(b"1")
        })
    }
}

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MountLine {
    /// The mount's number.
    pub id: u64,
    /// The minor number of its device: for FUSE, the connection's number.
    pub minor: u32,
    /// Where it is mounted.
    pub path: PathBuf,
    /// Its options, those of the mount and those of the filesystem.
    pub options: String,
    /// The filesystem's type.
    pub kind: String,
    /// What is mounted, escapes undone.
    pub source: OsString,
}

impl MountLine {
    /// Whether it is a FUSE filesystem.
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }

    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|given| given == option)
    }
}

/// All that is mounted, the lowest first.
pub fn mounts() -> Vec<MountLine> {
    let text = fs::read("/proc/self/mountinfo")
        .expect("/proc/self/mountinfo: the tests need /proc to be mounted");
    text.split(|&byte| byte == b'\n').filter_map(parse).collect()
}

fn parse(line: &[u8]) -> Option<MountLine> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let mut fields = line.split(|&byte| byte == b' ');
    let id = text(fields.next()?).parse().ok()?;
    let minor = text(fields.nth(1)?).split_once(':')?.1.parse().ok()?;
    let path = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let of_mount = text(fields.next()?);
    fields.find(|field| *field == b"-")?;
    let kind = text(fields.next()?);
    let source = OsString::from_vec(unescape(fields.next()?));
    let options = format!("{of_mount},{}", text(fields.next()?));
    Some(MountLine { id, minor, path, options, kind, source })
}

/// Undoes `\ooo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(&byte) = field.get(at) {
        let digits = field.get(at + 1..at + 4).filter(|_| byte == b'\\');
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(code.unwrap_or(byte));
        at += if code.is_some() { 4 } else { 1 };
    }
    plain
}

/// Aborts every connection that was ever seen on a mountpoint of `test`, and those there now.
pub(crate) fn abort_all_of(test: Test) {
    let known: Vec<_> = lock(&KNOWN).iter().filter(|(of, ..)| *of == test).cloned().collect();
    let mounts = mounts();
    for (_, path, connections) in known {
        let there = mounts
            .iter()
            .filter(|mount| mount.is_fuse() && mount.path.starts_with(&path))
            .map(|mount| Connection(mount.minor));
        for connection in connections.into_iter().chain(there) {
            // One that is gone needs no end.
            let _ = connection.try_abort();
        }
        for mount in mounts.iter().rev().filter(|mount| mount.path.starts_with(&path)) {
            let _ = umount2(&mount.path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        }
    }
}

/// Calls `act` with the directory of the connections' control files. Where the system has not
/// mounted it, it is mounted elsewhere for as long as that takes.
fn with_control_files<T>(act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let usual = Path::new("/sys/fs/fuse/connections");
    if mounts().iter().any(|mount| mount.kind == "fusectl" && mount.path == usual) {
        return act(usual);
    }
    let place = tempfile::Builder::new().prefix("async-fuser-fusectl-").tempdir()?.keep();
    mount(Some("fusectl"), &place, Some("fusectl"), MsFlags::empty(), None::<&str>)?;
    let acted = act(&place);
    let gone = || umount2(&place, MntFlags::MNT_DETACH).is_err();
    if wait(Duration::from_secs(1), gone) {
        fs::remove_dir(&place)?;
    }
    acted
}

/// The mountpoints there are, whose they are, and the connections seen on them.
static KNOWN: Mutex<Vec<(Test, PathBuf, Vec<Connection>)>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_escapes() {
        let mount =
            parse(b"36 35 0:52 / /a\\040b rw,nosuid shared:1 - fuse.kind a\\134,b ro,user_id=0");
        let mount = mount.expect("a mount");
        assert_eq!((mount.id, mount.minor), (36, 52));
        assert_eq!(mount.path, Path::new("/a b"));
        assert_eq!(mount.source, "a\\,b");
        assert!(mount.is_fuse() && mount.has("nosuid") && mount.has("user_id=0"));
        assert!(!mount.has("user_id"));
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_mountpoint_is_an_empty_directory_and_goes_away() {
        let mountpoint = Mountpoint::new();
        let path = mountpoint.path().to_owned();
        assert!(!mountpoint.is_mounted());
        assert_eq!(fs::read_dir(&path).expect("a directory").count(), 0);
        drop(mountpoint);
        assert!(!path.exists() && !path.parent().expect("a parent").exists());
    }
}
