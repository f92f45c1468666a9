use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::notifier::PollNotifier;
use crate::reply::*;
use crate::types::*;
use crate::wire::init::KernelConfig;

/// A filesystem, one method an operation.
///
/// The trait of the `fuser` crate, method for method: a program written for it compiles with
/// `use async_fuser as fuser;`. The methods below that fuser 0.18 does not have all have a default.
///
/// Each method is called on one of the session's threads and answers through its `reply`, at once
/// or later and from any thread. The thread reads no other request until the method returns: with
/// one thread ([`Config::n_threads`](crate::Config)) a slow method makes all other callers wait.
/// A method that panics answers `EIO`, and the mount lives on.
///
/// Files are named by inode numbers, which the filesystem chooses; the root is
/// [`INodeNo::ROOT`]. Every [`ReplyEntry::entry`] (and `created`, and an entry of a
/// `readdirplus`) counts as one lookup of the inode, and the kernel may name the inode until
/// [`forget`](Self::forget) has taken all its lookups back.
///
/// A method left out answers as its description says, in most cases with `ENOSYS`: where the
/// kernel takes that as "not supported" it fails the call by itself from then on, without asking.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use async_fuser::{
///     Errno, FileAttr, FileHandle, FileType, Filesystem, INodeNo, ReplyAttr, ReplyDirectory,
///     Request,
/// };
///
/// /// A filesystem that is one empty directory.
/// struct Empty;
///
/// impl Filesystem for Empty {
///     fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
///         let attr = FileAttr {
///             ino,
///             size: 0,
///             blocks: 0,
///             atime: UNIX_EPOCH,
///             mtime: UNIX_EPOCH,
///             ctime: UNIX_EPOCH,
///             crtime: UNIX_EPOCH,
///             kind: FileType::Directory,
///             perm: 0o755,
///             nlink: 2,
///             uid: 0,
///             gid: 0,
///             rdev: 0,
///             blksize: 4096,
///             flags: 0,
///         };
///         reply.attr(&Duration::from_secs(1), &attr);
///     }
///
///     fn readdir(
///         &self,
///         _: &Request,
///         ino: INodeNo,
///         _: FileHandle,
///         offset: u64,
///         mut reply: ReplyDirectory,
///     ) {
///         // Offset 0 begins; the offset given with an entry goes on after it.
///         if offset == 0 && reply.add(ino, 1, FileType::Directory, ".") {
///             return reply.error(Errno::EINVAL); // No room for a single entry.
///         }
///         reply.ok();
///     }
/// }
/// ```
#[allow(clippy::too_many_arguments, reason = "fuser's signatures")]
#[allow(unused_variables, reason = "the defaults need few of their parameters")]
pub trait Filesystem: Send + Sync + 'static {
    /// The connection begins: called once, before any other method.
    ///
    /// `config` says what the kernel offers and takes what the filesystem wants of it. An error
    /// ends the session and is returned by whoever began it; nothing stays mounted.
    fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        Ok(())
    }

    /// The connection is over: called once, after every other method has returned.
    fn destroy(&mut self) {}

    /// The caller of the request `unique` got a signal, and would rather not wait for the answer.
    ///
    /// It still does: even a process that is killed stays until the request is answered. A method
    /// that may take long (a lock that is waited for, a server that is far away) can be cut short
    /// here with `EINTR` on its reply. What has changed something must be answered with what came
    /// of it. The request may be answered already, and with several threads this may even overtake
    /// it. There is no answer.
    ///
    /// Beyond fuser 0.18. Left out: nothing is done, and the request is served to its end.
    fn interrupt(&self, req: &Request, unique: RequestId) {}

    /// Look up a directory entry by name and get its attributes.
    ///
    /// `ENOENT` if there is none; [`ReplyEntry::negative`] lets the kernel remember that. Left
    /// out: `ENOSYS`, and no name is found.
    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::ENOSYS);
    }

    /// The kernel takes back `nlookup` lookups of an inode. When none are left it does not name
    /// the inode any more, and its number may be reused with another generation.
    ///
    /// There is no answer. At unmount not every inode is forgotten. Left out: nothing is done.
    fn forget(&self, req: &Request, ino: INodeNo, nlookup: u64) {}

    /// Many [`forget`](Self::forget)s at once. Left out: calls `forget` for each.
    fn batch_forget(&self, req: &Request, nodes: &[ForgetOne]) {
        for node in nodes {
            self.forget(req, node.nodeid(), node.nlookup());
        }
    }

    /// Get a file's attributes. Left out: `ENOSYS`, and not even the root can be looked at.
    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.error(Errno::ENOSYS);
    }

    /// Change those attributes of a file that are `Some`, and answer with all of them.
    ///
    /// `fh` is the open file if the caller named one. `crtime`, `chgtime`, `bkuptime` and `flags`
    /// come from macOS alone. Left out: `ENOSYS`.
    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        crtime: Option<SystemTime>,
        chgtime: Option<SystemTime>,
        bkuptime: Option<SystemTime>,
        flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// As [`setattr`](Self::setattr), and told whether to drop the set-uid bit (and the set-gid
    /// bit of a group-executable file): only after `FUSE_HANDLE_KILLPRIV_V2`.
    ///
    /// Beyond fuser 0.18. Left out: calls `setattr`.
    fn setattr_killpriv(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        crtime: Option<SystemTime>,
        chgtime: Option<SystemTime>,
        bkuptime: Option<SystemTime>,
        flags: Option<BsdFileFlags>,
        kill_suid_gid: bool,
        reply: ReplyAttr,
    ) {
        self.setattr(
            req, ino, mode, uid, gid, size, atime, mtime, ctime, fh, crtime, chgtime, bkuptime,
            flags, reply,
        );
    }

    /// Get a file's attributes for `statx(2)`: with its time of birth and its attribute flags.
    ///
    /// The kernel asks this only when a caller wants the time of birth. Beyond fuser 0.18. Left
    /// out: `ENOSYS`, and the kernel asks [`getattr`](Self::getattr) instead from then on.
    fn statx(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: Option<FileHandle>,
        flags: u32,
        mask: StatxMask,
        reply: ReplyStatx,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Read where a symbolic link points; at most 4095 bytes. Left out: `ENOSYS`.
    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        reply.error(Errno::ENOSYS);
    }

    /// Create a file, a fifo, a socket or a device.
    ///
    /// `mode` holds the kind; the kernel has applied `umask` to it, unless `FUSE_DONT_MASK` was
    /// negotiated. Left out: `ENOSYS`.
    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Create a directory. Left out: `ENOSYS`.
    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Remove a file's name. The file itself lives as long as it has lookups or is open. Left out:
    /// `ENOSYS`.
    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Remove a directory; `ENOTEMPTY` if it has entries. Left out: `ENOSYS`.
    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Create a symbolic link that points to `target`, verbatim. Left out: `EPERM`, as `symlink(2)`
    /// has it for a filesystem without symbolic links.
    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    /// Rename an entry, replacing what has the new name; `flags` are those of `renameat2(2)`:
    /// `EINVAL` for any that are not supported. Left out: `ENOSYS`.
    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Give an inode one more name. Left out: `EPERM`, as `link(2)` has it for a filesystem
    /// without hard links.
    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EPERM);
    }

    /// Open a file.
    ///
    /// `flags` come without `O_CREAT`, `O_EXCL` and `O_NOCTTY`, and without `O_TRUNC` (a
    /// [`setattr`](Self::setattr) follows instead) unless `FUSE_ATOMIC_O_TRUNC` was negotiated.
    /// With the writeback cache the kernel may read from a file opened for writing only, and does
    /// `O_APPEND` itself. Permissions were checked if the mount has `default_permissions`.
    ///
    /// With `FUSE_NO_OPEN_SUPPORT` negotiated, `ENOSYS` means that files need not be opened: the
    /// kernel never asks again. Left out: success with the handle 0.
    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    /// As [`open`](Self::open), and told whether `O_TRUNC` must drop the set-uid bit (and the
    /// set-gid bit of a group-executable file): only after `FUSE_HANDLE_KILLPRIV_V2`.
    ///
    /// Beyond fuser 0.18. Left out: calls `open`.
    fn open_killpriv(
        &self,
        req: &Request,
        ino: INodeNo,
        flags: OpenFlags,
        kill_suid_gid: bool,
        reply: ReplyOpen,
    ) {
        self.open(req, ino, flags, reply);
    }

    /// Read `size` bytes from `offset` on; fewer mean that the file ends there.
    ///
    /// `flags` are those of the open file. Left out: `ENOSYS`.
    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Write `data` at `offset`.
    ///
    /// Answer with how many bytes were written: fewer than all only with an error to follow. With
    /// `FUSE_WRITE_CACHE` in `write_flags` the page cache writes, and `fh` and `lock_owner` are
    /// guesses. Left out: `ENOSYS`.
    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// One descriptor of an open file is closed: `close(2)` waits for the answer and returns it.
    ///
    /// Comes once for each duplicate of a descriptor. The POSIX locks of `lock_owner` on the file
    /// end. Left out: `ENOSYS`, which the kernel takes as success and does not ask again.
    fn flush(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// An open file has no descriptor and no mapping any more: `fh` ends. Comes once for each
    /// open; nobody waits, and an error reaches nobody.
    ///
    /// `lock_owner` is `Some` where a `flock(2)` of the file ends with it. Left out: success.
    fn release(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        lock_owner: Option<LockOwner>,
        flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    /// Make an open file's contents durable, and unless `datasync` its attributes too.
    ///
    /// Left out: `ENOSYS`, which the kernel takes as success and does not ask again.
    fn fsync(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Open a directory. With `FUSE_NO_OPENDIR_SUPPORT` negotiated, `ENOSYS` means that directories
    /// need not be opened. Left out: success with the handle 0.
    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    /// List a directory from `offset` on: 0 is the beginning, any other number is one that
    /// [`ReplyDirectory::add`] was given for the last entry the caller has.
    ///
    /// The kernel asks again until it gets no entries. Left out: `ENOSYS`.
    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// As [`readdir`](Self::readdir), with every entry's attributes: saves the lookups of an
    /// `ls -l`. Asked only after `FUSE_DO_READDIRPLUS`. Left out: `ENOSYS`.
    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// An open directory is closed: `fh` ends. Left out: success.
    fn releasedir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    /// Make a directory's entries durable. Left out: `ENOSYS`, which the kernel takes as success
    /// and does not ask again.
    fn fsyncdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Get the filesystem's sizes, for `df`. Left out: all zero, names of 255 bytes.
    fn statfs(&self, req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 512, 255, 0);
    }

    /// Set an extended attribute; `flags` are `XATTR_CREATE` (`EEXIST` if it is there),
    /// `XATTR_REPLACE` (`ENODATA` if it is not) or 0.
    ///
    /// Left out: `ENOSYS`, and the kernel fails such calls with `EOPNOTSUPP` from then on.
    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Get an extended attribute; [`Errno::NO_XATTR`] if it is not there.
    ///
    /// `size` is how much room the caller has, and 0 asks how large the value is;
    /// [`ReplyXattr::data`] answers both, and `ERANGE` where the value does not fit. Left out:
    /// `ENOSYS`, and the kernel fails such calls with `EOPNOTSUPP` from then on.
    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// List the names of a file's extended attributes, a zero after each; `size` as in
    /// [`getxattr`](Self::getxattr). Left out: `ENOSYS`, likewise.
    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// Remove an extended attribute; [`Errno::NO_XATTR`] if it is not there. Left out: `ENOSYS`,
    /// likewise.
    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// May the caller access the file? For `access(2)` and `chdir(2)`; not asked on a mount with
    /// `default_permissions`. Left out: `ENOSYS`, which the kernel takes as yes and does not ask
    /// again.
    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Create a regular file and open it, or open it if it is there and `flags` are without
    /// `O_EXCL`. Left out: `ENOSYS`, and the kernel calls [`mknod`](Self::mknod) and
    /// [`open`](Self::open) instead from then on.
    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// As [`create`](Self::create), and told whether `O_TRUNC` must drop the set-uid bit (and the
    /// set-gid bit of a group-executable file) of a file that is there: only after
    /// `FUSE_HANDLE_KILLPRIV_V2`.
    ///
    /// Beyond fuser 0.18. Left out: calls `create`.
    fn create_killpriv(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        kill_suid_gid: bool,
        reply: ReplyCreate,
    ) {
        self.create(req, parent, name, mode, umask, flags, reply);
    }

    /// Create a regular file without a name and open it: `open(2)` with `O_TMPFILE`. A
    /// [`link`](Self::link) may give it a name, unless `flags` have `O_EXCL`.
    ///
    /// Beyond fuser 0.18. Left out: `ENOSYS`, and the kernel fails such calls with `EOPNOTSUPP`
    /// from then on.
    fn tmpfile(
        &self,
        req: &Request,
        parent: INodeNo,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Which lock stands in the way of this one? Asked only after `FUSE_POSIX_LOCKS`; without it
    /// the kernel keeps the locks of this machine itself. Left out: `ENOSYS`.
    fn getlk(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Take or give back a lock, `typ` being `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    ///
    /// If it is taken: `EAGAIN`, or with `sleep` answer when it is free. Waiting within the method
    /// makes its thread wait; keep the reply and use it later. Asked only after
    /// `FUSE_POSIX_LOCKS`, and for `flock(2)` after `FUSE_FLOCK_LOCKS`. Left out: `ENOSYS`.
    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// As [`setlk`](Self::setlk), and told whether it is a `flock(2)`: a lock of the open file
    /// that no POSIX lock stands in the way of.
    ///
    /// Beyond fuser 0.18. Left out: calls `setlk`.
    fn setlk_flock(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        flock: bool,
        reply: ReplyEmpty,
    ) {
        self.setlk(req, ino, fh, lock_owner, start, end, typ, pid, sleep, reply);
    }

    /// Map a block of a file to a block of its device; asked only on a mount of a block device.
    /// Left out: `ENOSYS`.
    fn bmap(&self, req: &Request, ino: INodeNo, blocksize: u32, idx: u64, reply: ReplyBmap) {
        reply.error(Errno::ENOSYS);
    }

    /// Control an open file.
    ///
    /// The size and direction in `cmd` say what the caller passes in (`in_data`) and how much
    /// comes out (`out_size`); an ioctl whose `cmd` does not say so is answered `ENOSYS` without
    /// a call. Left out: `ENOSYS`, which callers see as `ENOTTY` or `ENOSYS` depending on the
    /// kernel.
    fn ioctl(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// What is an open file ready for? With `FUSE_POLL_SCHEDULE_NOTIFY` in `flags` somebody waits:
    /// keep `ph` and use it when that changes.
    ///
    /// Left out: `ENOSYS`, and the kernel takes every file as ready from then on.
    fn poll(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        ph: PollNotifier,
        events: PollEvents,
        flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Reserve, free or zero a range of an open file; `mode` is `FALLOC_FL_*`, and `EOPNOTSUPP`
    /// answers one that is not supported. Left out: `ENOSYS`, and the kernel fails such calls with
    /// `EOPNOTSUPP` from then on.
    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Find data or a hole from `offset` on: `whence` is `SEEK_DATA` or `SEEK_HOLE`; `ENXIO` past
    /// the end. Left out: `ENOSYS`, and the kernel takes files as all data from then on.
    fn lseek(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Copy a range from one open file to another without its data passing through the kernel.
    ///
    /// Answer with how much was copied: [`ReplyWrite::copied`] where it may exceed 4 GiB, which
    /// the kernel asks for only if it can take it (ABI 7.45). Left out: `ENOSYS`, and the kernel
    /// reads and writes instead.
    fn copy_file_range(
        &self,
        req: &Request,
        ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Make the whole filesystem durable: `syncfs(2)`. The kernel asks it of trusted mounts alone,
    /// on a block device or virtiofs.
    ///
    /// Beyond fuser 0.18. Left out: `ENOSYS`, which the kernel takes as success and does not ask
    /// again.
    fn syncfs(&self, req: &Request, ino: INodeNo, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Rename the volume. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn setvolname(&self, req: &Request, name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    /// Swap two files' contents. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn exchange(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        options: u64,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    /// Get the times of backup and creation. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn getxtimes(&self, req: &Request, ino: INodeNo, reply: ReplyXTimes) {
        reply.error(Errno::ENOSYS);
    }
}
