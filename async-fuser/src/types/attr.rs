//! What is known about a file.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(feature = "serializable")]
use serde::{Deserialize, Serialize};

use super::{INodeNo, StatxAttributes, StatxMask};
use crate::abi;

/// What kind of file an inode is.
///
/// The kernel remembers the kind of an inode it knows: should the same inode come back as another
/// kind, every access to it fails with `EIO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub enum FileType {
    /// A named pipe, made by `mkfifo(3)`. The kernel reads and writes it without the filesystem.
    NamedPipe,
    /// A device that is read and written as a stream. The kernel opens the device
    /// [`rdev`](FileAttr::rdev) names.
    CharDevice,
    /// A device that is read and written in blocks. The kernel opens the device
    /// [`rdev`](FileAttr::rdev) names.
    BlockDevice,
    /// A directory.
    Directory,
    /// A file with contents.
    RegularFile,
    /// A symbolic link. The kernel follows it to what it reads from it.
    Symlink,
    /// A Unix domain socket, made by `bind(2)`. The kernel connects it without the filesystem.
    Socket,
}

impl FileType {
    /// The kind that the standard library found; `None` if it is none that FUSE has.
    pub fn from_std(file_type: fs::FileType) -> Option<Self> {
        let kinds = [
            (file_type.is_file(), Self::RegularFile),
            (file_type.is_dir(), Self::Directory),
            (file_type.is_symlink(), Self::Symlink),
            (file_type.is_fifo(), Self::NamedPipe),
            (file_type.is_socket(), Self::Socket),
            (file_type.is_char_device(), Self::CharDevice),
            (file_type.is_block_device(), Self::BlockDevice),
        ];
        kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
    }

    /// The kind in the upper bits of a mode; `None` if they are none of the seven.
    pub(crate) fn from_mode(mode: u32) -> Option<Self> {
        const KINDS: [FileType; 7] = [
            FileType::RegularFile,
            FileType::Directory,
            FileType::Symlink,
            FileType::NamedPipe,
            FileType::Socket,
            FileType::CharDevice,
            FileType::BlockDevice,
        ];
        KINDS.into_iter().find(|kind| kind.mode() == mode & S_IFMT)
    }

    /// The kind as the upper bits of a mode, the lower ones zero.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::NamedPipe => 0o01_0000,
            Self::CharDevice => 0o02_0000,
            Self::Directory => 0o04_0000,
            Self::BlockDevice => 0o06_0000,
            Self::RegularFile => 0o10_0000,
            Self::Symlink => 0o12_0000,
            Self::Socket => 0o14_0000,
        }
    }
}

/// The attributes of a file, as `stat(2)` shows them.
///
/// The kernel keeps them for as long as the answer that carries them says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serializable", derive(Serialize, Deserialize))]
pub struct FileAttr {
    /// The number of the inode, as `st_ino` shows it.
    pub ino: INodeNo,
    /// How many bytes the file is long. Unless it was opened for direct I/O, the kernel reads no
    /// further.
    pub size: u64,
    /// How many blocks of 512 bytes the file takes, whatever its size. `du(1)` counts these.
    pub blocks: u64,
    /// When the file was last read.
    pub atime: SystemTime,
    /// When the contents last changed.
    pub mtime: SystemTime,
    /// When the contents or the attributes last changed.
    pub ctime: SystemTime,
    /// When the file was made. Only macOS asks for it here; on Linux see [`StatxAttr::btime`].
    pub crtime: SystemTime,
    /// What kind of file it is.
    pub kind: FileType,
    /// The permissions with the set-user-id, set-group-id and sticky bits. Bits above these are not
    /// sent.
    pub perm: u16,
    /// How many names the file has.
    pub nlink: u32,
    /// The user who owns the file.
    pub uid: u32,
    /// The group that owns the file.
    pub gid: u32,
    /// Which device a device file stands for: bits 8 to 19 are its major number, the others its
    /// minor number.
    pub rdev: u32,
    /// How many bytes are good to read or write at once, 4096 if in doubt. The kernel shows the
    /// nearest power of two below.
    pub blksize: u32,
    /// The flags `chflags(2)` sets. Only macOS asks for them; on Linux they are not sent.
    pub flags: u32,
}

impl FileAttr {
    /// An empty file with one name, which belongs to root and has not changed since 1970. What is
    /// different is set afterwards.
    pub const fn new(ino: INodeNo, kind: FileType, perm: u16) -> Self {
        Self {
            ino,
            size: 0,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// With so many bytes, and the blocks these take.
    #[must_use]
    pub const fn with_size(self, size: u64) -> Self {
        Self { size, blocks: size.div_ceil(512), ..self }
    }
}

/// The attributes of a file on another file system, with that file's own inode number.
///
/// Only a device file keeps its `rdev`. A device number, a count of links or a kind of file that
/// FUSE has no room for is an error that names it; a block size beyond 32 bits, a mere hint, becomes
/// the largest there is. Where the time of creation is not known, `crtime` is 1970.
impl TryFrom<&Metadata> for FileAttr {
    type Error = io::Error;

    fn try_from(metadata: &Metadata) -> io::Result<Self> {
        let no_room = |what: &str, value: u64| {
            let text = format!("inode {}: {what} {value:#x} does not fit FUSE", metadata.ino());
            io::Error::new(ErrorKind::InvalidData, text)
        };
        let mode = metadata.mode();
        let kind = FileType::from_mode(mode).ok_or_else(|| no_room("mode", mode.into()))?;
        let rdev = match kind {
            FileType::CharDevice | FileType::BlockDevice => metadata.rdev(),
            _ => 0,
        };
        Ok(Self {
            ino: INodeNo(metadata.ino()),
            size: metadata.size(),
            blocks: metadata.blocks(),
            atime: time_from_metadata(metadata.atime(), metadata.atime_nsec()),
            mtime: time_from_metadata(metadata.mtime(), metadata.mtime_nsec()),
            ctime: time_from_metadata(metadata.ctime(), metadata.ctime_nsec()),
            crtime: metadata.created().unwrap_or(UNIX_EPOCH),
            kind,
            perm: (mode & PERM) as u16,
            nlink: u32::try_from(metadata.nlink())
                .map_err(|_| no_room("link count", metadata.nlink()))?,
            uid: metadata.uid(),
            gid: metadata.gid(),
            rdev: u32::try_from(rdev).map_err(|_| no_room("device number", rdev))?,
            blksize: u32::try_from(metadata.blksize()).unwrap_or(u32::MAX),
            #[cfg(target_os = "macos")]
            flags: std::os::macos::fs::MetadataExt::st_flags(metadata),
            #[cfg(not(target_os = "macos"))]
            flags: 0,
        })
    }
}

/// What a time of a file is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeOrNow {
    /// This time.
    SpecificTime(SystemTime),
    /// The time at which the filesystem does it. The kernel leaves the clock to the filesystem.
    Now,
}

/// Who owns a file, or will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The attributes of a file, as `statx(2)` shows them.
///
/// The kernel asks for these when somebody wants to know the time of birth, and otherwise for
/// [`FileAttr`]. The time of birth it passes on; of `attributes` and `attributes_mask` Linux has so
/// far shown nothing to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatxAttr {
    /// What `stat(2)` shows too.
    pub attr: FileAttr,
    /// When the file was made, if that is known.
    pub btime: Option<SystemTime>,
    /// What is special about the file.
    pub attributes: StatxAttributes,
    /// Which of `attributes` mean something when they are not set.
    pub attributes_mask: StatxAttributes,
}

/// Nothing beyond the attributes is known: no time of birth, nothing special.
impl From<FileAttr> for StatxAttr {
    fn from(attr: FileAttr) -> Self {
        Self {
            attr,
            btime: None,
            attributes: StatxAttributes::empty(),
            attributes_mask: StatxAttributes::empty(),
        }
    }
}

/// The attributes as the kernel reads them in the answer to a lookup or getattr.
pub(crate) fn fuse_attr(attr: &FileAttr) -> abi::fuse_attr {
    let (atime, atimensec) = time_to_wire(attr.atime);
    let (mtime, mtimensec) = time_to_wire(attr.mtime);
    let (ctime, ctimensec) = time_to_wire(attr.ctime);
    #[cfg(target_os = "macos")]
    let (crtime, crtimensec) = time_to_wire(attr.crtime);
    abi::fuse_attr {
        ino: attr.ino.0,
        size: attr.size,
        blocks: attr.blocks,
        // The kernel declares these unsigned and reads them signed.
        atime: atime as u64,
        mtime: mtime as u64,
        ctime: ctime as u64,
        #[cfg(target_os = "macos")]
        crtime: crtime as u64,
        atimensec,
        mtimensec,
        ctimensec,
        #[cfg(target_os = "macos")]
        crtimensec,
        mode: mode(attr),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: attr.blksize,
        #[cfg(target_os = "macos")]
        flags: attr.flags,
        #[cfg(target_os = "macos")]
        padding: 0,
        // Elsewhere the kernel has flags of its own here, for submounts and DAX.
        #[cfg(not(target_os = "macos"))]
        flags: 0,
    }
}

/// The attributes as the kernel reads them in the answer to statx.
pub(crate) fn fuse_statx(statx: &StatxAttr) -> abi::fuse_statx {
    let StatxAttr { attr, btime, attributes, attributes_mask } = statx;
    let time = |time| {
        let (tv_sec, tv_nsec) = time_to_wire(time);
        abi::fuse_sx_time { tv_sec, tv_nsec, __reserved: 0 }
    };
    let mut mask = StatxMask::BASIC_STATS;
    mask.set(StatxMask::BTIME, btime.is_some());
    abi::fuse_statx {
        mask: mask.bits(),
        blksize: attr.blksize,
        attributes: attributes.bits(),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        // The kind and the permissions fill 16 bits exactly.
        mode: mode(attr) as u16,
        __spare0: [0],
        ino: attr.ino.0,
        size: attr.size,
        blocks: attr.blocks,
        attributes_mask: attributes_mask.bits(),
        atime: time(attr.atime),
        btime: time(btime.unwrap_or(UNIX_EPOCH)),
        ctime: time(attr.ctime),
        mtime: time(attr.mtime),
        rdev_major: attr.rdev >> 8 & 0xfff,
        rdev_minor: attr.rdev & 0xff | attr.rdev >> 12 & 0xf_ff00,
        // The kernel knows best which device it made for the mount.
        dev_major: 0,
        dev_minor: 0,
        __spare2: [0; 14],
    }
}

/// Whole seconds since 1970, downwards, and the nanoseconds on top of them.
///
/// A time further away than 64 bits of seconds becomes the furthest there is.
pub(crate) fn time_to_wire(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => match i64::try_from(after.as_secs()) {
            Ok(secs) => (secs, after.subsec_nanos()),
            Err(_) => (i64::MAX, LAST_NANOSECOND),
        },
        Err(err) => {
            let before = err.duration();
            let (whole, part) = (before.as_secs(), before.subsec_nanos());
            // A part of a second before is the rest of it after the second below.
            let (below, nsecs) = if part == 0 { (0, 0) } else { (1, LAST_NANOSECOND + 1 - part) };
            let secs = 0i64.checked_sub_unsigned(whole).and_then(|secs| secs.checked_sub(below));
            secs.map_or((i64::MIN, 0), |secs| (secs, nsecs))
        }
    }
}

/// The time that is `nsecs` nanoseconds after `secs` whole seconds since 1970.
///
/// Nanoseconds that make a second or more, which the kernel never sends, count as the last of their
/// second. A time the platform cannot hold becomes 1970.
pub(crate) fn time_from_wire(secs: i64, nsecs: u32) -> SystemTime {
    let whole = Duration::from_secs(secs.unsigned_abs());
    let second =
        if secs < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let part = Duration::from_nanos(nsecs.min(LAST_NANOSECOND).into());
    second.and_then(|second| second.checked_add(part)).unwrap_or(UNIX_EPOCH)
}

/// The time that `stat(2)` tells in two numbers.
fn time_from_metadata(secs: i64, nsecs: i64) -> SystemTime {
    time_from_wire(secs, u32::try_from(nsecs).unwrap_or(0))
}

/// Kind and permissions in one number.
fn mode(attr: &FileAttr) -> u32 {
    attr.kind.mode() | u32::from(attr.perm) & PERM
}

const S_IFMT: u32 = 0o17_0000;
const PERM: u32 = 0o7777;
const LAST_NANOSECOND: u32 = 999_999_999;

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs::{File, FileTimes};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn times_are_exact_on_both_sides_of_1970() {
        let after = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        let before = |nanos| UNIX_EPOCH - Duration::from_nanos(nanos);
        let cases = [
            (after(0), (0, 0)),
            (after(1), (0, 1)),
            (after(1_500_000_000), (1, 500_000_000)),
            (before(1), (-1, 999_999_999)),
            (before(1_000_000_000), (-1, 0)),
            (before(1_200_000_000), (-2, 800_000_000)),
            (before(2_000_000_001), (-3, 999_999_999)),
        ];
        for (time, wire) in cases {
            assert_eq!(time_to_wire(time), wire);
            assert_eq!(time_from_wire(wire.0, wire.1), time);
        }
    }

    #[test]
    fn the_furthest_times_there_and_back() {
        let seconds = [i64::MIN, i64::MIN + 1, -1 << 40, -1, 0, 1 << 40, i64::MAX - 1, i64::MAX];
        for secs in seconds {
            for nsecs in [0, 1, 500_000_000, LAST_NANOSECOND] {
                let time = time_from_wire(secs, nsecs);
                // Linux holds them all; a platform that does not answers 1970.
                if cfg!(target_os = "linux") || time != UNIX_EPOCH {
                    assert_eq!(time_to_wire(time), (secs, nsecs));
                }
            }
        }
    }

    #[test]
    fn nanoseconds_never_run_over_into_the_second() {
        assert_eq!(time_from_wire(5, u32::MAX), time_from_wire(5, LAST_NANOSECOND));
        assert_eq!(time_from_wire(-5, 1_000_000_000), time_from_wire(-5, LAST_NANOSECOND));
        assert_eq!(time_to_wire(time_from_wire(i64::MAX, u32::MAX)), (i64::MAX, LAST_NANOSECOND));
    }

    #[test]
    fn new_attributes_are_of_an_empty_file_until_they_have_a_size() {
        let attr = FileAttr::new(INodeNo(2), FileType::Symlink, 0o777);
        assert_eq!(
            (attr.ino, attr.kind, attr.perm, attr.nlink),
            (INodeNo(2), FileType::Symlink, 0o777, 1)
        );
        assert_eq!((attr.size, attr.blocks, attr.mtime), (0, 0, UNIX_EPOCH));
        let sized = attr.with_size(513);
        assert_eq!((sized.size, sized.blocks, sized.ino), (513, 2, INodeNo(2)));
        assert_eq!(attr.with_size(512).blocks, 1);
        assert_eq!(attr.with_size(u64::MAX).blocks, 1 << 55);
    }

    #[test]
    fn kinds_are_the_upper_bits_of_a_mode() {
        let kinds = [
            (FileType::NamedPipe, libc::S_IFIFO),
            (FileType::CharDevice, libc::S_IFCHR),
            (FileType::Directory, libc::S_IFDIR),
            (FileType::BlockDevice, libc::S_IFBLK),
            (FileType::RegularFile, libc::S_IFREG),
            (FileType::Symlink, libc::S_IFLNK),
            (FileType::Socket, libc::S_IFSOCK),
        ];
        for (kind, bits) in kinds {
            assert_eq!(kind.mode() as libc::mode_t, bits);
            assert_eq!(FileType::from_mode(kind.mode() | 0o7777), Some(kind));
        }
        for mode in [0, 0o644, 0o03_0644, 0o17_0000] {
            assert_eq!(FileType::from_mode(mode), None);
        }
    }

    #[test]
    fn kinds_are_what_the_standard_library_finds() {
        let directory = env::temp_dir();
        let kind = |path: &str| FileType::from_std(fs::symlink_metadata(path).unwrap().file_type());
        assert_eq!(kind(directory.to_str().unwrap()), Some(FileType::Directory));
        assert_eq!(kind("/dev/null"), Some(FileType::CharDevice));
        assert_eq!(
            kind(env::current_exe().unwrap().to_str().unwrap()),
            Some(FileType::RegularFile)
        );
    }

    #[test]
    fn metadata_of_a_real_file_becomes_its_attributes() {
        let path = env::temp_dir().join(format!("attr-file-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        file.set_len(12_345).unwrap();
        let mtime = UNIX_EPOCH - Duration::new(100, 250_000_000);
        file.set_times(FileTimes::new().set_accessed(UNIX_EPOCH).set_modified(mtime)).unwrap();
        let metadata = file.metadata().unwrap();
        fs::remove_file(&path).unwrap();

        let attr = FileAttr::try_from(&metadata).unwrap();
        assert_eq!(attr.ino, INodeNo(metadata.ino()));
        assert_eq!((attr.size, attr.kind), (12_345, FileType::RegularFile));
        assert_eq!((attr.atime, attr.mtime), (UNIX_EPOCH, mtime));
        assert_eq!((attr.nlink, attr.rdev, attr.flags), (1, 0, 0));
        assert_eq!(u32::from(attr.perm), metadata.mode() & 0o7777);
        assert_eq!((attr.uid, attr.gid), (metadata.uid(), metadata.gid()));
        assert_eq!(u64::from(attr.blksize), metadata.blksize());
        assert!(attr.ctime.elapsed().unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn metadata_of_links_and_devices_becomes_their_attributes() {
        let path = env::temp_dir().join(format!("attr-link-{}", std::process::id()));
        symlink("nowhere", &path).unwrap();
        let metadata = fs::symlink_metadata(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let attr = FileAttr::try_from(&metadata).unwrap();
        assert_eq!((attr.kind, attr.size), (FileType::Symlink, 7));

        let attr = FileAttr::try_from(&fs::metadata("/dev/null").unwrap()).unwrap();
        assert_eq!(attr.kind, FileType::CharDevice);
        #[cfg(target_os = "linux")]
        assert_eq!(attr.rdev, 0x103);
    }

    #[test]
    fn the_kernel_gets_the_attributes_it_was_given() {
        let wire = fuse_attr(&attr());
        assert_eq!((wire.ino, wire.size, wire.blocks), (7, 1 << 33, 3));
        assert_eq!((wire.atime as i64, wire.atimensec), (1, 5));
        assert_eq!((wire.mtime as i64, wire.mtimensec), (-1, 750_000_000));
        assert_eq!((wire.ctime as i64, wire.ctimensec), (3, 0));
        assert_eq!(wire.mode, 0o02_0000 | 0o4644);
        assert_eq!((wire.nlink, wire.uid, wire.gid), (2, 1000, 100));
        assert_eq!((wire.rdev, wire.blksize), (0xabc1_2345, 4096));
        assert_eq!(wire.flags, if cfg!(target_os = "macos") { 9 } else { 0 });
    }

    #[test]
    fn permissions_do_not_change_the_kind() {
        // A whole st_mode in `perm`, here that of a directory, is a common slip.
        let attr = FileAttr { perm: 0o04_0755, ..attr() };
        assert_eq!(fuse_attr(&attr).mode, 0o02_0755);
        assert_eq!(fuse_statx(&attr.into()).mode, 0o02_0755);
    }

    #[test]
    fn statx_tells_the_birth_only_if_it_is_known() {
        let born = UNIX_EPOCH - Duration::from_millis(1);
        let mut statx = StatxAttr::from(attr());
        assert_eq!(fuse_statx(&statx).mask, 0x7ff);
        statx.btime = Some(born);
        statx.attributes = StatxAttributes::IMMUTABLE;
        statx.attributes_mask = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        let wire = fuse_statx(&statx);
        assert_eq!(wire.mask, 0xfff);
        assert_eq!((wire.btime.tv_sec, wire.btime.tv_nsec), (-1, 999_000_000));
        assert_eq!((wire.mtime.tv_sec, wire.mtime.tv_nsec), (-1, 750_000_000));
        assert_eq!((wire.attributes, wire.attributes_mask), (0x10, 0x30));
        assert_eq!((wire.ino, wire.size, wire.blocks), (7, 1 << 33, 3));
        assert_eq!((wire.nlink, wire.uid, wire.gid, wire.blksize), (2, 1000, 100, 4096));
        assert_eq!((wire.rdev_major, wire.rdev_minor), (0x123, 0xabc45));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn device_numbers_are_taken_apart_as_the_c_library_does() {
        for rdev in [0, 0x103, 0x800, 0xabc1_2345, 0xfff0_00ff, u32::MAX] {
            let wire = fuse_statx(&FileAttr { rdev, ..attr() }.into());
            assert_eq!(wire.rdev_major, libc::major(rdev.into()));
            assert_eq!(wire.rdev_minor, libc::minor(rdev.into()));
        }
    }

    #[cfg(feature = "serializable")]
    #[test]
    fn attributes_survive_being_serialized() {
        let attr = FileAttr { mtime: UNIX_EPOCH, ..attr() };
        let text = serde_json::to_string(&attr).unwrap();
        assert!(text.contains(r#""ino":7,"#) && text.contains(r#""kind":"CharDevice""#), "{text}");
        assert_eq!(serde_json::from_str::<FileAttr>(&text).unwrap(), attr);
    }

    fn attr() -> FileAttr {
        FileAttr {
            ino: INodeNo(7),
            size: 1 << 33,
            blocks: 3,
            atime: UNIX_EPOCH + Duration::new(1, 5),
            mtime: UNIX_EPOCH - Duration::from_millis(250),
            ctime: UNIX_EPOCH + Duration::from_secs(3),
            crtime: UNIX_EPOCH,
            kind: FileType::CharDevice,
            perm: 0o4644,
            nlink: 2,
            uid: 1000,
            gid: 100,
            rdev: 0xabc1_2345,
            blksize: 4096,
            flags: 9,
        }
    }
}
