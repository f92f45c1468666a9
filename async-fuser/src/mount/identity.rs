//! Telling our mount from any other that is, or comes to be, at the same path.
//!
//! Linux numbers its mounts. Since 6.8 one of the numbers is never given out twice, and then it
//! alone decides. Before, a number is free again after an unmount, so the next mount at the same
//! path may well get ours: the state of the connection is asked too. Where neither `statx` nor
//! `/proc` tells (an old kernel in a chroot), the state of the connection alone has to do: a mount
//! whose connection was aborted then passes for unmounted, and one that was detached from outside
//! while in use for mounted.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use super::syscall::{Stamp, stamp};
use crate::transport::is_connected;

/// Which mount is ours.
#[derive(Debug)]
pub(super) struct Identity {
    /// Where it was mounted, with all symlinks resolved.
    path: PathBuf,
    stamp: Option<Stamp>,
    /// The connection, kept only where its state has to be asked: who holds it keeps it alive.
    connection: Option<OwnedFd>,
}

/// Where our mount is now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On top at this path: unmounting the path unmounts it.
    At(PathBuf),
    /// Under another mount at this path.
    Covered(PathBuf),
    /// Nowhere in sight: unmounted, or out of reach.
    Gone,
}

impl Identity {
    /// The unique number of the mount that `path` is in, to be asked before mounting on it.
    pub(super) fn before(path: &Path) -> Option<u64> {
        stamp(path).ok()?.unique
    }

    /// Records the mount that was just made at `path` and is served through `connection`.
    ///
    /// Where mounts have unique numbers this asks nobody but the kernel: the new mount, which is
    /// not served yet, may cover `/proc`.
    pub(super) fn record(
        path: &Path,
        before: Option<u64>,
        connection: &OwnedFd,
    ) -> io::Result<Self> {
        let path = path.to_owned();
        match stamp(&path) {
            Ok(stamp) if stamp.unique.is_some() && stamp.unique != before => {
                Ok(Self { path, stamp: Some(stamp), connection: None })
            }
            _ => {
                let stamp = Mounts::read().stamp(&path);
                Ok(Self { path, stamp, connection: Some(connection.try_clone()?) })
            }
        }
    }

    /// Where it was mounted.
    #[cfg(any(mount_with = "libfuse2", mount_with = "libfuse3"))]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The minor number of the mount's device, which has no major.
    pub(super) fn connection(&self) -> Option<u32> {
        self.stamp.map(|stamp| stamp.dev.1)
    }

    /// Where it is. Mounts come and go while their list is read, which may then show a neighbour's
    /// line twice or out of turn; what really covers ours still does so at the next look.
    pub(super) fn place(&self) -> Place {
        const LOOKS: u32 = 5;
        const BETWEEN: Duration = Duration::from_millis(10);
        for _ in 1..LOOKS {
            match self.look() {
                Place::Covered(_) => thread::sleep(BETWEEN),
                place => return place,
            }
        }
        self.look()
    }

    fn look(&self) -> Place {
        let Some(ours) = &self.stamp else {
            return if self.is_served() { Place::At(self.path.clone()) } else { Place::Gone };
        };
        if ours.unique.is_some() && ours.unique == Self::before(&self.path) {
            return Place::At(self.path.clone());
        }
        // It may have been moved, itself or with a directory above it, or covered.
        let mounts = Mounts::read();
        let Some(path) = mounts.by_stamp(ours).map(|mount| mount.path.clone()) else {
            return Place::Gone;
        };
        match mounts.top(&path) {
            Some(top) if Some(top.id) != ours.id => Place::Covered(path),
            _ if self.is_ours(ours, &path) => Place::At(path),
            _ => Place::Gone,
        }
    }

    /// Whether the mount on top at `path`, which has our reusable numbers, is ours.
    fn is_ours(&self, ours: &Stamp, path: &Path) -> bool {
        match (ours.unique, Self::before(path)) {
            (Some(ours), Some(there)) => ours == there,
            // The connection was not kept, so there is no more to ask. It comes to this only
            // where we may not look at our own mount any more, and not unmount it either.
            (Some(_), None) => true,
            (None, _) => self.is_served() || is_dead(path),
        }
    }

    /// Whether the connection is up. If so, the mount of the same numbers is ours: numbers in
    /// use are not given out again.
    fn is_served(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| is_connected(connection.as_fd()))
    }
}

/// Whether a FUSE mount whose server died is on top at `path`.
pub(super) fn is_stale(path: &Path) -> bool {
    Mounts::read().top(path).is_some_and(Mount::is_fuse) && is_dead(path)
}

/// Whether what is mounted at `path` has no server any more. A dead mount says so at once; one
/// that does not answer is alive, and has its own troubles: it is not waited for.
fn is_dead(path: &Path) -> bool {
    let (tell, told) = mpsc::channel();
    let path = path.to_owned();
    let ask = move || tell.send(statfs(&path).err());
    let asked = thread::Builder::new().name("is-mount-dead".into()).spawn(ask);
    asked.is_ok() && told.recv_timeout(Duration::from_secs(1)) == Ok(Some(Errno::ENOTCONN))
}

/// The mounts of this process's mount namespace, none if `/proc` is not there.
#[derive(Debug)]
struct Mounts(Vec<Mount>);

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    parent: u64,
    dev: (u32, u32),
    path: PathBuf,
    kind: Vec<u8>,
}

impl Mounts {
    fn read() -> Self {
        Self::parse(&fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Self {
        Self(text.split(|&byte| byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The mount at `path` that is not covered by another one at `path`.
    fn top(&self, path: &Path) -> Option<&Mount> {
        let here = || self.0.iter().filter(|mount| mount.path == path);
        here().find(|mount| !here().any(|above| above.parent == mount.id && above.id != mount.id))
    }

    /// The stamp of the FUSE mount on top at `path`, as far as it is listed.
    fn stamp(&self, path: &Path) -> Option<Stamp> {
        let top = self.top(path).filter(|mount| mount.is_fuse())?;
        Some(Stamp { id: Some(top.id), unique: None, dev: top.dev })
    }

    fn by_stamp(&self, stamp: &Stamp) -> Option<&Mount> {
        self.0.iter().find(|mount| Some(mount.id) == stamp.id && mount.dev == stamp.dev)
    }
}

impl Mount {
    /// `36 35 98:0 /root /mount\040point rw,noatime shared:1 - fuse.kind source rw`, with any
    /// number of fields, also none, between the options and the dash.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = number(fields.next()?)?;
        let parent = number(fields.next()?)?;
        let mut dev = fields.next()?.splitn(2, |&byte| byte == b':');
        let dev = (number(dev.next()?)?, number(dev.next()?)?);
        let path = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
        fields.next()?;
        fields.find(|field| *field == b"-")?;
        let kind = unescape(fields.next()?);
        Some(Self { id, parent, dev, path, kind })
    }

    fn is_fuse(&self) -> bool {
        matches!(self.kind.as_slice(), b"fuse" | b"fuseblk")
            || self.kind.starts_with(b"fuse.")
            || self.kind.starts_with(b"fuseblk.")
    }
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Undoes `\ooo`, which the kernel writes for blanks, line ends, `#` and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read_with_and_without_optional_fields() {
        for optional in ["", "shared:1 ", "shared:1 master:2 propagate_from:3 "] {
            let line = format!("36 35 0:52 / /a\\040b rw,nosuid {optional}- fuse.kind src rw,fd=3");
            let mount = Mount::parse(line.as_bytes()).expect("a mount");
            let path = PathBuf::from("/a b");
            assert_eq!(
                mount,
                Mount { id: 36, parent: 35, dev: (0, 52), path, kind: b"fuse.kind".to_vec() }
            );
            assert!(mount.is_fuse());
        }
    }

    #[test]
    fn every_byte_of_a_path_survives_the_escapes() {
        let mut escaped = Vec::new();
        let mut plain = Vec::new();
        for byte in 1..=u8::MAX {
            plain.push(byte);
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => {
                    escaped.extend(format!("\\{byte:03o}").into_bytes());
                }
                _ => escaped.push(byte),
            }
        }
        assert_eq!(unescape(&escaped), plain);
        let line = [b"1 2 0:3 / ".as_slice(), &escaped, b" rw - fuse x rw"].concat();
        assert_eq!(
            Mount::parse(&line).expect("a mount").path.as_os_str(),
            OsStr::from_bytes(&plain)
        );
    }

    #[test]
    fn what_is_no_escape_stays_as_it_is() {
        for text in ["\\", "\\0", "\\04", "\\08x", "\\477", "a\\", "\\x40"] {
            assert_eq!(unescape(text.as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        let text = b"\n\xff\n1\n1 2\n1 2 3 / /p rw - t s o\n1 2 0:99999999999 / /p rw - t s o\n\
            -1 2 0:3 / /p rw - t s o\n1 2 0:3 / /p rw t s o\n1 2 0:3 / /p rw -\n7 2 0:3 / /p rw - t";
        let mounts = Mounts::parse(text);
        assert_eq!(mounts.0.iter().map(|mount| mount.id).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn the_top_of_a_stack_is_the_mount_that_none_stands_on() {
        let mounts = Mounts::parse(
            b"30 1 0:5 / /m rw - fuse a rw\n31 40 0:6 / /m rw - tmpfs b rw\n\
              40 30 0:7 / /m rw - fuse.x c rw\n50 1 0:8 / /other rw - fuse d rw",
        );
        assert_eq!(mounts.top(Path::new("/m")).map(|mount| mount.id), Some(31));
        assert_eq!(mounts.top(Path::new("/other")).map(|mount| mount.id), Some(50));
        assert_eq!(mounts.top(Path::new("/")), None);
    }

    #[test]
    fn only_fuse_kinds_are_fuse() {
        let kind = |kind: &str| {
            Mount::parse(format!("1 2 0:3 / /p rw - {kind} s o").as_bytes()).expect("a mount")
        };
        for yes in ["fuse", "fuseblk", "fuse.sshfs", "fuseblk.ntfs"] {
            assert!(kind(yes).is_fuse(), "{yes}");
        }
        for no in ["fusectl", "ext4", "fuse_", ""] {
            assert!(!kind(no).is_fuse(), "{no}");
        }
    }

    #[test]
    fn a_living_directory_is_neither_dead_nor_stale() {
        assert!(!is_dead(Path::new("/")));
        assert!(!is_stale(Path::new("/")));
    }

    #[test]
    fn random_lines_never_panic_and_spoil_no_other() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let line: &[u8] = b"36 35 0:52 / /a\\040b rw,nosuid shared:1 - fuse.kind src rw,fd=3";
        let pieces: &[&[u8]] = &[
            b" ",
            b"  ",
            b"-",
            b":",
            b"\\",
            b"\\04",
            b"\\377",
            b"\\400",
            b"0",
            b"\xff",
            b"18446744073709551616",
            b" - ",
            b"/",
            b"fuse",
            b"",
            b"+1",
            b"\0",
            b"\r",
            b"\t",
        ];
        let (mut read, mut left_out) = (0, 0);
        for _ in 0..20_000 {
            let mut spoilt = line.to_vec();
            for _ in 0..random() % 4 {
                let at = (random() % (spoilt.len() as u64 + 1)) as usize;
                let end = (at + (random() % 4) as usize).min(spoilt.len());
                let piece = pieces[(random() % pieces.len() as u64) as usize];
                spoilt.splice(at..end, piece.iter().copied());
            }
            let text = [line, b"\n", &spoilt, b"\n", line, b"\n"].concat();
            let mounts = Mounts::parse(&text);
            *(if mounts.0.len() == 3 { &mut read } else { &mut left_out }) += 1;
            assert!((2..=3).contains(&mounts.0.len()), "{:?}", String::from_utf8_lossy(&spoilt));
            assert_eq!(mounts.0.first(), Mount::parse(line).as_ref());
            assert_eq!(mounts.0.last(), Mount::parse(line).as_ref());
        }
        assert!(read > 1_000 && left_out > 1_000, "{read} read, {left_out} left out");
    }
}
