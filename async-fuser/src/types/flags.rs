//! Sets of bits: what the kernel says along with a request, and what it may be told in an answer.

use std::fmt::{self, Display, Formatter, LowerHex, UpperHex};

use bitflags::bitflags;

use crate::abi;

/// The flags a file was opened with, as `open(2)` got them.
///
/// The kernel has dealt with `O_CREAT`, `O_EXCL` and `O_NOCTTY` before it opens, and keeps
/// `O_TRUNC` back unless [`FUSE_ATOMIC_O_TRUNC`](InitFlags::FUSE_ATOMIC_O_TRUNC) was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpenFlags(pub i32);

impl OpenFlags {
    /// Whether the file is read, written or both.
    ///
    /// The fourth value those two bits have, which opens a device for nothing but `ioctl(2)`, counts
    /// as reading.
    pub fn acc_mode(self) -> OpenAccMode {
        match self.0 & libc::O_ACCMODE {
            libc::O_WRONLY => OpenAccMode::O_WRONLY,
            libc::O_RDWR => OpenAccMode::O_RDWR,
            _ => OpenAccMode::O_RDONLY,
        }
    }
}

impl LowerHex for OpenFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        LowerHex::fmt(&self.0, f)
    }
}

impl UpperHex for OpenFlags {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        UpperHex::fmt(&self.0, f)
    }
}

/// What a file was opened for.
///
/// The kernel refuses a `read(2)` or `write(2)` the file was not opened for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the names of open(2)")]
#[repr(i32)]
pub enum OpenAccMode {
    /// For reading.
    O_RDONLY = libc::O_RDONLY,
    /// For writing.
    O_WRONLY = libc::O_WRONLY,
    /// For reading and writing.
    O_RDWR = libc::O_RDWR,
}

bitflags! {
    /// What `access(2)` asks about a file.
    ///
    /// The kernel asks only on mounts where it does not check permissions by itself.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct AccessFlags: i32 {
        /// Whether the file exists. It is the empty set.
        const F_OK = libc::F_OK;
        /// Whether the caller may read the file or list the directory.
        const R_OK = libc::R_OK;
        /// Whether the caller may write the file or change the directory.
        const W_OK = libc::W_OK;
        /// Whether the caller may execute the file or enter the directory.
        const X_OK = libc::X_OK;
    }
}

bitflags! {
    /// The flags of a file that `chflags(2)` sets. Only macOS has any.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct BsdFileFlags: u32 {
        /// `dump(8)` leaves the file out.
        #[cfg(target_os = "macos")]
        const UF_NODUMP = libc::UF_NODUMP;
        /// Nobody may change the file; its owner has said so.
        #[cfg(target_os = "macos")]
        const UF_IMMUTABLE = libc::UF_IMMUTABLE;
        /// The file may only grow; its owner has said so.
        #[cfg(target_os = "macos")]
        const UF_APPEND = libc::UF_APPEND;
        /// In a union mount the directory hides the one below.
        #[cfg(target_os = "macos")]
        const UF_OPAQUE = libc::UF_OPAQUE;
        /// Graphical programs do not show the file.
        #[cfg(target_os = "macos")]
        const UF_HIDDEN = libc::UF_HIDDEN;
        /// The file is in an archive; the superuser has said so.
        #[cfg(target_os = "macos")]
        const SF_ARCHIVED = libc::SF_ARCHIVED;
        /// Nobody may change the file; the superuser has said so.
        #[cfg(target_os = "macos")]
        const SF_IMMUTABLE = libc::SF_IMMUTABLE;
        /// The file may only grow; the superuser has said so.
        #[cfg(target_os = "macos")]
        const SF_APPEND = libc::SF_APPEND;
    }
}

bitflags! {
    /// How `copy_file_range(2)` copies. No flag is defined so far.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct CopyFileRangeFlags: u64 {}
}

bitflags! {
    /// How the kernel treats a file that is opened, as the answer to the open tells it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct FopenFlags: u32 {
        /// Every read and write goes to the filesystem, none through the page cache.
        const FOPEN_DIRECT_IO = abi::FOPEN_DIRECT_IO;
        /// What the page cache holds of the file is still good; otherwise the kernel drops it.
        const FOPEN_KEEP_CACHE = abi::FOPEN_KEEP_CACHE;
        /// `lseek(2)` fails with `ESPIPE`.
        const FOPEN_NONSEEKABLE = abi::FOPEN_NONSEEKABLE;
        /// The kernel may cache the listing of this directory.
        const FOPEN_CACHE_DIR = abi::FOPEN_CACHE_DIR;
        /// The file has no position: reads and writes go one after the other, as on a pipe.
        const FOPEN_STREAM = abi::FOPEN_STREAM;
        /// The kernel sends no flush when the file is closed, unless it writes back cached pages.
        const FOPEN_NOFLUSH = abi::FOPEN_NOFLUSH;
        /// With direct I/O, the kernel sends several writes to the file at the same time.
        const FOPEN_PARALLEL_DIRECT_WRITES = abi::FOPEN_PARALLEL_DIRECT_WRITES;
        /// The kernel reads and writes the backing file that was named, not the filesystem.
        const FOPEN_PASSTHROUGH = abi::FOPEN_PASSTHROUGH;
        /// The kernel drops the attributes it has cached.
        #[cfg(target_os = "macos")]
        const FOPEN_PURGE_ATTR = 1 << 30;
        /// The kernel drops the contents it has cached.
        #[cfg(target_os = "macos")]
        const FOPEN_PURGE_UBC = 1 << 31;
    }
}

bitflags! {
    /// What the kernel can do, and what of it a filesystem wants.
    ///
    /// The kernel offers its set when the filesystem is mounted; only what both name counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct InitFlags: u64 {
        /// The kernel sends several reads of a file at once. Without it they come in order.
        const FUSE_ASYNC_READ = abi::FUSE_ASYNC_READ;
        /// The kernel passes POSIX file locks on. Without it it keeps them itself.
        const FUSE_POSIX_LOCKS = abi::FUSE_POSIX_LOCKS;
        /// The kernel sends the file handle along when it has one. It does so anyway.
        const FUSE_FILE_OPS = abi::FUSE_FILE_OPS;
        /// The kernel passes `O_TRUNC` on to open, instead of truncating by itself first.
        const FUSE_ATOMIC_O_TRUNC = abi::FUSE_ATOMIC_O_TRUNC;
        /// The kernel looks up `.` and `..` too, so that NFS can export the mount.
        const FUSE_EXPORT_SUPPORT = abi::FUSE_EXPORT_SUPPORT;
        /// The kernel sends writes of more than one page.
        const FUSE_BIG_WRITES = abi::FUSE_BIG_WRITES;
        /// The kernel leaves the umask to the filesystem, instead of taking it off the mode.
        const FUSE_DONT_MASK = abi::FUSE_DONT_MASK;
        /// Answers may be spliced into the device.
        const FUSE_SPLICE_WRITE = abi::FUSE_SPLICE_WRITE;
        /// Pages that are spliced into the device may be moved instead of copied.
        const FUSE_SPLICE_MOVE = abi::FUSE_SPLICE_MOVE;
        /// Requests may be spliced from the device.
        const FUSE_SPLICE_READ = abi::FUSE_SPLICE_READ;
        /// The kernel passes `flock(2)` locks on. Without it it keeps them itself.
        const FUSE_FLOCK_LOCKS = abi::FUSE_FLOCK_LOCKS;
        /// The kernel passes on `ioctl(2)` on directories.
        const FUSE_HAS_IOCTL_DIR = abi::FUSE_HAS_IOCTL_DIR;
        /// The kernel drops cached contents when size or modification time turn out changed.
        const FUSE_AUTO_INVAL_DATA = abi::FUSE_AUTO_INVAL_DATA;
        /// The kernel lists directories with the attributes of each entry.
        const FUSE_DO_READDIRPLUS = abi::FUSE_DO_READDIRPLUS;
        /// The kernel chooses from case to case whether it lists with attributes or without.
        const FUSE_READDIRPLUS_AUTO = abi::FUSE_READDIRPLUS_AUTO;
        /// The kernel sends the parts of one direct read or write at once.
        const FUSE_ASYNC_DIO = abi::FUSE_ASYNC_DIO;
        /// The kernel collects writes in its page cache and sends them later, and owns size and
        /// modification time meanwhile.
        const FUSE_WRITEBACK_CACHE = abi::FUSE_WRITEBACK_CACHE;
        /// The kernel takes `ENOSYS` from open as leave not to open files any more.
        const FUSE_NO_OPEN_SUPPORT = abi::FUSE_NO_OPEN_SUPPORT;
        /// The kernel looks up and lists in one directory several times at once.
        const FUSE_PARALLEL_DIROPS = abi::FUSE_PARALLEL_DIROPS;
        /// The filesystem takes set-user-id, set-group-id and capabilities off a file on writing,
        /// truncating and changing the owner; the kernel does not ask for it.
        const FUSE_HANDLE_KILLPRIV = abi::FUSE_HANDLE_KILLPRIV;
        /// The kernel checks and caches POSIX access control lists kept as extended attributes.
        const FUSE_POSIX_ACL = abi::FUSE_POSIX_ACL;
        /// Reading the device after the connection was aborted fails with `ECONNABORTED`.
        const FUSE_ABORT_ERROR = abi::FUSE_ABORT_ERROR;
        /// The kernel takes from the answer how many pages a request may carry.
        const FUSE_MAX_PAGES = abi::FUSE_MAX_PAGES;
        /// The kernel caches where symbolic links point.
        const FUSE_CACHE_SYMLINKS = abi::FUSE_CACHE_SYMLINKS;
        /// The kernel takes `ENOSYS` from opendir as leave not to open directories any more.
        const FUSE_NO_OPENDIR_SUPPORT = abi::FUSE_NO_OPENDIR_SUPPORT;
        /// The kernel drops cached contents only when it is told to.
        const FUSE_EXPLICIT_INVAL_DATA = abi::FUSE_EXPLICIT_INVAL_DATA;
        /// The kernel takes from the answer how mappings for DAX are aligned.
        const FUSE_MAP_ALIGNMENT = abi::FUSE_MAP_ALIGNMENT;
        /// The kernel mounts directories that are marked as another file system by themselves.
        const FUSE_SUBMOUNTS = abi::FUSE_SUBMOUNTS;
        /// As [`FUSE_HANDLE_KILLPRIV`](Self::FUSE_HANDLE_KILLPRIV), but the kernel tells with each
        /// write, truncation and open whether the caller is one it must be done for.
        const FUSE_HANDLE_KILLPRIV_V2 = abi::FUSE_HANDLE_KILLPRIV_V2;
        /// The kernel sends flags of its own with setxattr.
        const FUSE_SETXATTR_EXT = abi::FUSE_SETXATTR_EXT;
        /// The flags from bit 32 on count.
        const FUSE_INIT_EXT = abi::FUSE_INIT_EXT;
        /// Never used.
        const FUSE_INIT_RESERVED = abi::FUSE_INIT_RESERVED;
        /// The kernel sends the security context a new inode gets.
        const FUSE_SECURITY_CTX = abi::FUSE_SECURITY_CTX;
        /// The kernel takes from the attributes which files use DAX.
        const FUSE_HAS_INODE_DAX = abi::FUSE_HAS_INODE_DAX;
        /// The kernel sends the caller's group that matches the directory when it makes an inode.
        const FUSE_CREATE_SUPP_GROUP = abi::FUSE_CREATE_SUPP_GROUP;
        /// The kernel can be told that an entry has expired, without dropping it.
        const FUSE_HAS_EXPIRE_ONLY = abi::FUSE_HAS_EXPIRE_ONLY;
        /// Files opened for direct I/O can be mapped shared.
        const FUSE_DIRECT_IO_ALLOW_MMAP = abi::FUSE_DIRECT_IO_ALLOW_MMAP;
        /// The kernel can read and write a backing file in place of the filesystem.
        const FUSE_PASSTHROUGH = abi::FUSE_PASSTHROUGH;
        /// The kernel refuses NFS file handles for the mount.
        const FUSE_NO_EXPORT_SUPPORT = abi::FUSE_NO_EXPORT_SUPPORT;
        /// The kernel can be told to send all unanswered requests again, and marks them.
        const FUSE_HAS_RESEND = abi::FUSE_HAS_RESEND;
        /// The mount can be idmapped. The kernel then withholds the caller's ids, except where a
        /// new inode needs an owner.
        const FUSE_ALLOW_IDMAP = abi::FUSE_ALLOW_IDMAP;
        /// Requests and answers can go through an io_uring.
        const FUSE_OVER_IO_URING = abi::FUSE_OVER_IO_URING;
        /// The kernel takes from the answer how long a request may take; after that it aborts the
        /// connection.
        const FUSE_REQUEST_TIMEOUT = abi::FUSE_REQUEST_TIMEOUT;

        /// The kernel passes on requests to allocate space.
        #[cfg(target_os = "macos")]
        const FUSE_ALLOCATE = abi::FUSE_ALLOCATE;
        /// The kernel passes on `exchangedata(2)`.
        #[cfg(target_os = "macos")]
        const FUSE_EXCHANGE_DATA = abi::FUSE_EXCHANGE_DATA;
        /// Names that differ in case alone are the same.
        #[cfg(target_os = "macos")]
        const FUSE_CASE_INSENSITIVE = abi::FUSE_CASE_INSENSITIVE;
        /// The volume can be renamed.
        #[cfg(target_os = "macos")]
        const FUSE_VOL_RENAME = abi::FUSE_VOL_RENAME;
        /// The kernel asks for the times of backup and creation.
        #[cfg(target_os = "macos")]
        const FUSE_XTIMES = abi::FUSE_XTIMES;
    }
}

bitflags! {
    /// How an ioctl is made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct IoctlFlags: u32 {
        /// The caller is a program of 32 bits on a kernel of 64.
        const FUSE_IOCTL_COMPAT = abi::FUSE_IOCTL_COMPAT;
        /// The kernel does not take sizes from the command, and may be asked to try again. Only
        /// CUSE gets these.
        const FUSE_IOCTL_UNRESTRICTED = abi::FUSE_IOCTL_UNRESTRICTED;
        /// In an answer: the kernel is to try again with the buffers that are named.
        const FUSE_IOCTL_RETRY = abi::FUSE_IOCTL_RETRY;
        /// The command is one of 32 bits.
        const FUSE_IOCTL_32BIT = abi::FUSE_IOCTL_32BIT;
        /// The ioctl is made on a directory.
        const FUSE_IOCTL_DIR = abi::FUSE_IOCTL_DIR;
        /// The caller is an x32 program on a kernel of 64 bits; its times have 64.
        const FUSE_IOCTL_COMPAT_X32 = abi::FUSE_IOCTL_COMPAT_X32;
    }
}

bitflags! {
    /// What somebody waits for on a file, and what has come to pass, as `poll(2)` names it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PollEvents: u32 {
        /// Reading would not wait.
        const POLLIN = libc::POLLIN as u32;
        /// Something urgent happened.
        const POLLPRI = libc::POLLPRI as u32;
        /// Writing would not wait.
        const POLLOUT = libc::POLLOUT as u32;
        /// There is an error. Nobody needs to wait for it to hear of it.
        const POLLERR = libc::POLLERR as u32;
        /// The other side hung up. Nobody needs to wait for it to hear of it.
        const POLLHUP = libc::POLLHUP as u32;
        /// The file is not open. Nobody needs to wait for it to hear of it.
        const POLLNVAL = libc::POLLNVAL as u32;
        /// Reading ordinary data would not wait.
        const POLLRDNORM = libc::POLLRDNORM as u32;
        /// Reading data of another priority would not wait.
        const POLLRDBAND = libc::POLLRDBAND as u32;
        /// Writing ordinary data would not wait.
        const POLLWRNORM = libc::POLLWRNORM as u32;
        /// Writing data of another priority would not wait.
        const POLLWRBAND = libc::POLLWRBAND as u32;
    }
}

bitflags! {
    /// How a file is polled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PollFlags: u32 {
        /// Somebody will sleep until the kernel is told that the file is ready.
        const FUSE_POLL_SCHEDULE_NOTIFY = abi::FUSE_POLL_SCHEDULE_NOTIFY;
    }
}

bitflags! {
    /// How `renameat2(2)` renames.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct RenameFlags: u32 {
        /// If the new name exists, nothing is renamed; the kernel expects `EEXIST`.
        #[cfg(target_os = "linux")]
        const RENAME_NOREPLACE = libc::RENAME_NOREPLACE;
        /// The two names, which both exist, change places.
        #[cfg(target_os = "linux")]
        const RENAME_EXCHANGE = libc::RENAME_EXCHANGE;
        /// A whiteout, which hides a name in an overlay, is left in the old place.
        #[cfg(target_os = "linux")]
        const RENAME_WHITEOUT = libc::RENAME_WHITEOUT;
    }
}

bitflags! {
    /// How data is written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct WriteFlags: u32 {
        /// The kernel writes back what it cached: the file handle is one of those open for writing,
        /// not necessarily the one written through, and the caller is nobody.
        const FUSE_WRITE_CACHE = abi::FUSE_WRITE_CACHE;
        /// The lock owner is told.
        const FUSE_WRITE_LOCKOWNER = abi::FUSE_WRITE_LOCKOWNER;
        /// The filesystem is to take set-user-id and set-group-id off the file. The kernel says so
        /// after [`FUSE_HANDLE_KILLPRIV_V2`](InitFlags::FUSE_HANDLE_KILLPRIV_V2).
        const FUSE_WRITE_KILL_SUIDGID = abi::FUSE_WRITE_KILL_SUIDGID;
    }
}

bitflags! {
    /// Which attributes `statx(2)` asks for, and which an answer tells.
    ///
    /// The kernel keeps an answer's attributes only if the whole of
    /// [`BASIC_STATS`](Self::BASIC_STATS) is told.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StatxMask: u32 {
        /// The kind of file.
        const TYPE = 1 << 0;
        /// The permissions.
        const MODE = 1 << 1;
        /// The number of names.
        const NLINK = 1 << 2;
        /// The user who owns the file.
        const UID = 1 << 3;
        /// The group that owns the file.
        const GID = 1 << 4;
        /// When it was last read.
        const ATIME = 1 << 5;
        /// When its contents last changed.
        const MTIME = 1 << 6;
        /// When contents or attributes last changed.
        const CTIME = 1 << 7;
        /// The number of the inode.
        const INO = 1 << 8;
        /// The size.
        const SIZE = 1 << 9;
        /// The blocks taken.
        const BLOCKS = 1 << 10;
        /// All that `stat(2)` shows.
        const BASIC_STATS = (1 << 11) - 1;
        /// When the file was made.
        const BTIME = 1 << 11;
    }
}

bitflags! {
    /// What is special about a file, as `statx(2)` names it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct StatxAttributes: u64 {
        /// The file is kept compressed.
        const COMPRESSED = 1 << 2;
        /// Nobody may change the file.
        const IMMUTABLE = 1 << 4;
        /// The file may only grow.
        const APPEND = 1 << 5;
        /// Backups leave the file out.
        const NODUMP = 1 << 6;
        /// The file is kept encrypted.
        const ENCRYPTED = 1 << 11;
        /// Entering the directory mounts something there.
        const AUTOMOUNT = 1 << 12;
        /// The directory is the root of a mount.
        const MOUNT_ROOT = 1 << 13;
        /// The contents are checked by fs-verity.
        const VERITY = 1 << 20;
        /// The file is accessed without the page cache, in persistent memory.
        const DAX = 1 << 21;
    }
}

/// Prints sets of flags as the number they are.
macro_rules! display_as_number {
    ($($flags:ident),*) => { $(
        impl Display for $flags {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                Display::fmt(&self.bits(), f)
            }
        }
    )* };
}

display_as_number!(AccessFlags, IoctlFlags, PollEvents, PollFlags, RenameFlags);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_tell_what_the_file_is_opened_for() {
        let acc_mode = |flags| OpenFlags(flags).acc_mode();
        assert_eq!(acc_mode(0), OpenAccMode::O_RDONLY);
        assert_eq!(acc_mode(libc::O_WRONLY | libc::O_TRUNC), OpenAccMode::O_WRONLY);
        assert_eq!(acc_mode(libc::O_RDWR | libc::O_APPEND), OpenAccMode::O_RDWR);
        assert_eq!(acc_mode(libc::O_ACCMODE), OpenAccMode::O_RDONLY);
        assert_eq!(acc_mode(-1), OpenAccMode::O_RDONLY);
        assert_eq!(OpenAccMode::O_RDWR as i32, libc::O_RDWR);
    }

    #[test]
    fn open_flags_print_as_hex() {
        assert_eq!(format!("{:x} {:#X}", OpenFlags(0xabc), OpenFlags(0xabc)), "abc 0xABC");
    }

    #[test]
    fn some_flags_print_as_their_number() {
        assert_eq!((AccessFlags::R_OK | AccessFlags::X_OK).to_string(), "5");
        assert_eq!((PollEvents::POLLIN | PollEvents::POLLOUT).to_string(), "5");
        assert_eq!(IoctlFlags::FUSE_IOCTL_DIR.to_string(), "16");
        assert_eq!(PollFlags::empty().to_string(), "0");
        assert_eq!(format!("{:>3}", RenameFlags::from_bits_retain(4)), "  4");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn flags_of_system_calls_are_the_c_librarys() {
        assert_eq!(RenameFlags::RENAME_WHITEOUT.bits(), 4);
        assert_eq!(RenameFlags::all().bits(), 7);
        assert_eq!(AccessFlags::all().bits(), libc::R_OK | libc::W_OK | libc::X_OK);
        assert!(AccessFlags::F_OK.is_empty());
        assert_eq!(PollEvents::all().bits(), 0x3ff);
        assert_eq!(StatxMask::BASIC_STATS.bits(), libc::STATX_BASIC_STATS);
        assert_eq!(StatxMask::all().bits(), libc::STATX_ALL);
        let one_by_one = [
            (StatxMask::TYPE, libc::STATX_TYPE),
            (StatxMask::MODE, libc::STATX_MODE),
            (StatxMask::NLINK, libc::STATX_NLINK),
            (StatxMask::UID, libc::STATX_UID),
            (StatxMask::GID, libc::STATX_GID),
            (StatxMask::ATIME, libc::STATX_ATIME),
            (StatxMask::MTIME, libc::STATX_MTIME),
            (StatxMask::CTIME, libc::STATX_CTIME),
            (StatxMask::INO, libc::STATX_INO),
            (StatxMask::SIZE, libc::STATX_SIZE),
            (StatxMask::BLOCKS, libc::STATX_BLOCKS),
            (StatxMask::BTIME, libc::STATX_BTIME),
        ];
        for (flag, value) in one_by_one {
            assert_eq!(flag.bits(), value);
        }
        let one_by_one = [
            (StatxAttributes::COMPRESSED, libc::STATX_ATTR_COMPRESSED),
            (StatxAttributes::IMMUTABLE, libc::STATX_ATTR_IMMUTABLE),
            (StatxAttributes::APPEND, libc::STATX_ATTR_APPEND),
            (StatxAttributes::NODUMP, libc::STATX_ATTR_NODUMP),
            (StatxAttributes::ENCRYPTED, libc::STATX_ATTR_ENCRYPTED),
            (StatxAttributes::AUTOMOUNT, libc::STATX_ATTR_AUTOMOUNT),
            (StatxAttributes::MOUNT_ROOT, libc::STATX_ATTR_MOUNT_ROOT),
            (StatxAttributes::VERITY, libc::STATX_ATTR_VERITY),
            (StatxAttributes::DAX, libc::STATX_ATTR_DAX),
        ];
        for (flag, value) in one_by_one {
            assert_eq!(flag.bits(), value as u64);
        }
    }

    #[test]
    fn every_bit_of_the_protocol_has_its_name() {
        assert_eq!(InitFlags::all().bits(), (1 << 43) - 1);
        assert_eq!(InitFlags::FUSE_WRITEBACK_CACHE.bits(), 0x1_0000);
        assert_eq!(InitFlags::FUSE_INIT_EXT.bits(), 0x4000_0000);
        assert_eq!(InitFlags::FUSE_PASSTHROUGH.bits(), 0x20_0000_0000);
        assert_eq!(IoctlFlags::all().bits(), 0x3f);
        assert_eq!(WriteFlags::all().bits(), 7);
        #[cfg(not(target_os = "macos"))]
        {
            assert_eq!(FopenFlags::all().bits(), 0xff);
            assert!(InitFlags::all().iter().all(|flag| flag.bits().is_power_of_two()));
        }
    }

    #[test]
    fn bits_without_a_name_are_kept() {
        let flags = CopyFileRangeFlags::from_bits_retain(1 << 40);
        assert_eq!(flags.bits(), 1 << 40);
        assert_eq!(CopyFileRangeFlags::from_bits(1 << 40), None);
    }
}
