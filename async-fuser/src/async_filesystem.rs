use std::io;

use crate::answer::*;
use crate::op::{self, Operations};
use crate::types::{Errno, FileHandle, Request};
use crate::wire::init::KernelConfig;

/// What an operation comes to.
pub type Result<T, E = Errno> = std::result::Result<T, E>;

/// A filesystem whose operations are futures.
///
/// Write each method as an `async fn`; nothing is boxed. A method takes one struct of
/// [`op`], which holds who asks and what, and returns the answer or the error that the
/// caller's system call fails with. The kernel's side of an operation (units, what an answer makes
/// it do, which errors it expects) is described at each method.
///
/// # How it is served
///
/// A method is polled once where the request was read. If it is ready, the answer is written and
/// the next request read: there is no task, no lock and no allocation. If it waits, it becomes a
/// task of the runtime, and other requests are served meanwhile; any number of them may wait at the
/// same time. So a method must not block its thread: what blocks belongs into
/// [`spawn_blocking`](tokio::task::spawn_blocking).
///
/// (A read of 256 KiB and more is a task from its beginning where the runtime has several workers:
/// one of them can read the next request while another copies the answer.)
///
/// * A method that panics answers `EIO`, and the mount lives on.
/// * When the caller is interrupted or killed, a method that changes nothing is dropped where it
///   waits, and the caller gets `EINTR`. One that changes something is not: see
///   [`Cancellation`](crate::lib_async::Cancellation), which also has the ways to say otherwise.
/// * Every request is answered exactly once, whatever becomes of its method's future.
///
/// # Inodes
///
/// Files are named by inode numbers, which the filesystem chooses; the root is
/// [`INodeNo::ROOT`](crate::INodeNo::ROOT). Every [`Entry`] and [`Created`], and every entry of a
/// `readdirplus`, counts as one lookup of the inode, and the kernel may name the inode until
/// [`forget`](Self::forget) has taken all its lookups back.
///
/// # What is left out
///
/// A method left out answers as its description says, in most cases with `ENOSYS`: where the kernel
/// takes that as "not supported" it fails the call by itself from then on, without asking.
///
/// # Examples
///
/// ```no_run
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use async_fuser::lib_async::{AsyncFilesystem, Attr, Data, Entry, Listing, Result};
/// use async_fuser::{Errno, FileAttr, FileType, INodeNo, op};
///
/// /// One file, `hello`.
/// struct Hello;
///
/// const TEXT: &[u8] = b"Hello!\n";
/// const TTL: Duration = Duration::from_secs(1);
///
/// fn attr(ino: INodeNo) -> FileAttr {
///     let is_root = ino == INodeNo::ROOT;
///     FileAttr {
///         ino,
///         size: if is_root { 0 } else { TEXT.len() as u64 },
///         blocks: 1,
///         atime: UNIX_EPOCH,
///         mtime: UNIX_EPOCH,
///         ctime: UNIX_EPOCH,
///         crtime: UNIX_EPOCH,
///         kind: if is_root { FileType::Directory } else { FileType::RegularFile },
///         perm: if is_root { 0o755 } else { 0o644 },
///         nlink: 1,
///         uid: 0,
///         gid: 0,
///         rdev: 0,
///         blksize: 4096,
///         flags: 0,
///     }
/// }
///
/// impl AsyncFilesystem for Hello {
///     async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
///         if op.name != "hello" {
///             return Err(Errno::ENOENT);
///         }
///         Ok(Entry::new(attr(INodeNo(2)), TTL))
///     }
///
///     async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
///         Ok(Attr::new(attr(op.ino), TTL))
///     }
///
///     async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
///         let start = TEXT.len().min(op.offset as usize);
///         let end = TEXT.len().min(start + op.size as usize);
///         Ok(Data::from(&TEXT[start..end]))
///     }
///
///     async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
///         let mut listing = Listing::new(&op);
///         if op.offset == 0 {
///             let _is_full = listing.add(INodeNo(2), 1, FileType::RegularFile, "hello");
///         }
///         Ok(listing)
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// async_fuser::mount_async(Hello, "/mnt/hello", &Default::default()).await
/// # }
/// ```
#[allow(unused_variables, reason = "the defaults need few of their parameters")]
pub trait AsyncFilesystem: Send + Sync + 'static {
    /// Which operations this filesystem implements.
    ///
    /// What is not in the set is answered without a call, as if the method were left out. A set
    /// made by name ([`Operations::of`]) is also what INIT is negotiated by: with `setlk` and
    /// `getlk` the kernel is asked to leave POSIX locks to the filesystem, with `setlk` alone
    /// `flock(2)` locks, with `readdirplus` to use it. [`init`](Self::init) may still say
    /// otherwise. Left out: all of them, and nothing is asked for.
    const OPERATIONS: Operations = Operations::ALL;

    /// The connection begins: called once, before any other method.
    ///
    /// `config` says what the kernel offers and takes what the filesystem wants of it. An error
    /// ends the session and is returned by whoever began it; nothing stays mounted.
    fn init(
        &mut self,
        req: &Request,
        config: &mut KernelConfig,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }

    /// The connection is over: called once, after every other method has ended.
    fn destroy(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Look up a directory entry by name and get its attributes.
    ///
    /// `ENOENT` if there is none; [`Entry::negative`] lets the kernel remember that. Left out:
    /// `ENOSYS`, and no name is found.
    fn lookup(&self, op: op::Lookup<'_>) -> impl Future<Output = Result<Entry>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// The kernel takes back `nlookup` lookups of an inode. When none are left it does not name
    /// the inode any more, and its number may be reused with another generation.
    ///
    /// There is no answer. At unmount not every inode is forgotten. Left out: nothing is done.
    fn forget(&self, op: op::Forget<'_>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Many [`forget`](Self::forget)s at once. Left out: calls `forget` for each.
    fn batch_forget(&self, op: op::BatchForget<'_>) -> impl Future<Output = ()> + Send {
        async move {
            for node in op.nodes {
                let (ino, nlookup) = (node.nodeid(), node.nlookup());
                self.forget(op::Forget { req: op.req, ino, nlookup }).await;
            }
        }
    }

    /// Get a file's attributes. Left out: `ENOSYS`, and not even the root can be looked at.
    fn getattr(&self, op: op::Getattr<'_>) -> impl Future<Output = Result<Attr>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Change those attributes of a file that are `Some`, and answer with all of them.
    ///
    /// `fh` is the open file if the caller named one. `crtime`, `chgtime`, `bkuptime` and `flags`
    /// come from macOS alone. With `kill_suid_gid` the set-uid bit goes (and the set-gid bit of a
    /// group-executable file). Left out: `ENOSYS`.
    fn setattr(&self, op: op::Setattr<'_>) -> impl Future<Output = Result<Attr>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Get a file's attributes for `statx(2)`: with its time of birth and its attribute flags.
    ///
    /// The kernel asks this only when a caller wants the time of birth. Left out: `ENOSYS`, and
    /// the kernel asks [`getattr`](Self::getattr) instead from then on.
    fn statx(&self, op: op::Statx<'_>) -> impl Future<Output = Result<Statx>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Read where a symbolic link points; at most 4095 bytes. Left out: `ENOSYS`.
    fn readlink(&self, op: op::Readlink<'_>) -> impl Future<Output = Result<Data<'_>>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Create a file, a fifo, a socket or a device.
    ///
    /// `mode` holds the kind; the kernel has applied `umask` to it, unless `FUSE_DONT_MASK` was
    /// negotiated. Left out: `ENOSYS`.
    fn mknod(&self, op: op::Mknod<'_>) -> impl Future<Output = Result<Entry>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Create a directory. Left out: `ENOSYS`.
    fn mkdir(&self, op: op::Mkdir<'_>) -> impl Future<Output = Result<Entry>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Remove a file's name. The file itself lives as long as it has lookups or is open. Left out:
    /// `ENOSYS`.
    fn unlink(&self, op: op::Unlink<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Remove a directory; `ENOTEMPTY` if it has entries. Left out: `ENOSYS`.
    fn rmdir(&self, op: op::Rmdir<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Create a symbolic link that points to `target`, verbatim. Left out: `EPERM`, as `symlink(2)`
    /// has it for a filesystem without symbolic links.
    fn symlink(&self, op: op::Symlink<'_>) -> impl Future<Output = Result<Entry>> + Send {
        async { Err(Errno::EPERM) }
    }

    /// Rename an entry, replacing what has the new name; `flags` are those of `renameat2(2)`:
    /// `EINVAL` for any that are not supported. Left out: `ENOSYS`.
    fn rename(&self, op: op::Rename<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Give an inode one more name. Left out: `EPERM`, as `link(2)` has it for a filesystem
    /// without hard links.
    fn link(&self, op: op::Link<'_>) -> impl Future<Output = Result<Entry>> + Send {
        async { Err(Errno::EPERM) }
    }

    /// Open a file.
    ///
    /// `flags` come without `O_CREAT`, `O_EXCL` and `O_NOCTTY`, and without `O_TRUNC` (a
    /// [`setattr`](Self::setattr) follows instead) unless `FUSE_ATOMIC_O_TRUNC` was negotiated.
    /// With the writeback cache the kernel may read from a file opened for writing only, and does
    /// `O_APPEND` itself. Permissions were checked if the mount has `default_permissions`.
    ///
    /// What is answered too late, because the caller was killed meanwhile, is released at once.
    /// With `FUSE_NO_OPEN_SUPPORT` negotiated, `ENOSYS` means that files need not be opened: the
    /// kernel never asks again. Left out: success with the handle 0.
    fn open(&self, op: op::Open<'_>) -> impl Future<Output = Result<Opened>> + Send {
        async { Ok(Opened::new(FileHandle(0))) }
    }

    /// Read `size` bytes from `offset` on.
    ///
    /// Fewer mean the end of the file, unless it was opened with `FOPEN_DIRECT_IO`; more are
    /// refused, and the caller gets `EIO`. [`ReadBuffer`] is memory to read into. Left out:
    /// `ENOSYS`.
    fn read(&self, op: op::Read<'_>) -> impl Future<Output = Result<Data<'_>>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Write `data` at `offset`.
    ///
    /// Answer with how many bytes were written: fewer than all only with an error to follow. With
    /// `FUSE_WRITE_CACHE` in `write_flags` the page cache writes, and `fh` and `lock_owner` are
    /// guesses. Left out: `ENOSYS`.
    fn write(&self, op: op::Write<'_>) -> impl Future<Output = Result<Written>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// One descriptor of an open file is closed: `close(2)` waits for the answer and returns it.
    ///
    /// Comes once for each duplicate of a descriptor. The POSIX locks of `lock_owner` on the file
    /// end. Left out: `ENOSYS`, which the kernel takes as success and does not ask again.
    fn flush(&self, op: op::Flush<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// An open file has no descriptor and no mapping any more: `fh` ends. Comes once for each
    /// open; nobody waits, and an error reaches nobody.
    ///
    /// `lock_owner` is `Some` where a `flock(2)` of the file ends with it. Left out: success.
    fn release(&self, op: op::Release<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Make an open file's contents durable, and unless `datasync` its attributes too.
    ///
    /// Left out: `ENOSYS`, which the kernel takes as success and does not ask again.
    fn fsync(&self, op: op::Fsync<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Open a directory. With `FUSE_NO_OPENDIR_SUPPORT` negotiated, `ENOSYS` means that directories
    /// need not be opened. Left out: success with the handle 0.
    fn opendir(&self, op: op::Opendir<'_>) -> impl Future<Output = Result<Opened>> + Send {
        async { Ok(Opened::new(FileHandle(0))) }
    }

    /// List a directory from `offset` on: 0 is the beginning, any other number is one that
    /// [`Listing::add`] was given for the last entry the caller has.
    ///
    /// The kernel asks again until it gets no entries. Left out: `ENOSYS`.
    fn readdir(&self, op: op::Readdir<'_>) -> impl Future<Output = Result<Listing>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// As [`readdir`](Self::readdir), with every entry's attributes: saves the lookups of an
    /// `ls -l`. Asked only after `FUSE_DO_READDIRPLUS`. Left out: `ENOSYS`.
    fn readdirplus(
        &self,
        op: op::Readdirplus<'_>,
    ) -> impl Future<Output = Result<ListingPlus>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// An open directory is closed: `fh` ends. Left out: success.
    fn releasedir(&self, op: op::Releasedir<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Make a directory's entries durable. Left out: `ENOSYS`, which the kernel takes as success
    /// and does not ask again.
    fn fsyncdir(&self, op: op::Fsyncdir<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Get the filesystem's sizes, for `df`. Left out: all zero, names of 255 bytes.
    fn statfs(&self, op: op::Statfs<'_>) -> impl Future<Output = Result<Statfs>> + Send {
        async { Ok(Statfs::default()) }
    }

    /// Set an extended attribute; `flags` are `XATTR_CREATE` (`EEXIST` if it is there),
    /// `XATTR_REPLACE` (`ENODATA` if it is not) or 0.
    ///
    /// Left out: `ENOSYS`, and the kernel fails such calls with `EOPNOTSUPP` from then on.
    fn setxattr(&self, op: op::Setxattr<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Get an extended attribute; [`Errno::NO_XATTR`] if it is not there.
    ///
    /// `size` is how much room the caller has, and 0 asks how large the value is; [`Xattr::new`]
    /// answers both, and `ERANGE` where the value does not fit. Left out: `ENOSYS`, and the kernel
    /// fails such calls with `EOPNOTSUPP` from then on.
    fn getxattr(&self, op: op::Getxattr<'_>) -> impl Future<Output = Result<Xattr<'_>>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// List the names of a file's extended attributes, a zero after each; `size` as in
    /// [`getxattr`](Self::getxattr). Left out: `ENOSYS`, likewise.
    fn listxattr(&self, op: op::Listxattr<'_>) -> impl Future<Output = Result<Xattr<'_>>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Remove an extended attribute; [`Errno::NO_XATTR`] if it is not there. Left out: `ENOSYS`,
    /// likewise.
    fn removexattr(&self, op: op::Removexattr<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// May the caller access the file? For `access(2)` and `chdir(2)`; not asked on a mount with
    /// `default_permissions`. Left out: `ENOSYS`, which the kernel takes as yes and does not ask
    /// again.
    fn access(&self, op: op::Access<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Create a regular file and open it, or open it if it is there and `flags` are without
    /// `O_EXCL`. Left out: `ENOSYS`, and the kernel calls [`mknod`](Self::mknod) and
    /// [`open`](Self::open) instead from then on.
    fn create(&self, op: op::Create<'_>) -> impl Future<Output = Result<Created>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Create a regular file without a name and open it: `open(2)` with `O_TMPFILE`. A
    /// [`link`](Self::link) may give it a name, unless `flags` have `O_EXCL`.
    ///
    /// Left out: `ENOSYS`, and the kernel fails such calls with `EOPNOTSUPP` from then on.
    fn tmpfile(&self, op: op::Tmpfile<'_>) -> impl Future<Output = Result<Created>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Which lock stands in the way of this one? Asked only after `FUSE_POSIX_LOCKS`; without it
    /// the kernel keeps the locks of this machine itself. Left out: `ENOSYS`.
    fn getlk(&self, op: op::Getlk<'_>) -> impl Future<Output = Result<Lock>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Take or give back a lock, `typ` being `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    ///
    /// If it is taken: `EAGAIN`, or with `sleep` wait until it is free; the wait is dropped when
    /// its caller is interrupted. With `flock` it is a lock of the open file that no POSIX lock
    /// stands in the way of. Asked only after `FUSE_POSIX_LOCKS`, and for `flock(2)` after
    /// `FUSE_FLOCK_LOCKS`. Left out: `ENOSYS`.
    fn setlk(&self, op: op::Setlk<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Map a block of a file to a block of its device; asked only on a mount of a block device.
    /// Left out: `ENOSYS`.
    fn bmap(&self, op: op::Bmap<'_>) -> impl Future<Output = Result<Block>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Control an open file.
    ///
    /// The size and direction in `cmd` say what the caller passes in (`in_data`) and how much
    /// comes out (`out_size`); an ioctl whose `cmd` does not say so is answered `ENOSYS` without
    /// a call. Left out: `ENOTTY`, as every file has it that takes no commands.
    fn ioctl(&self, op: op::Ioctl<'_>) -> impl Future<Output = Result<Ioctl<'_>>> + Send {
        async { Err(Errno::ENOTTY) }
    }

    /// What is an open file ready for? With `FUSE_POLL_SCHEDULE_NOTIFY` in `flags` somebody waits:
    /// keep `kh`, and hand it to [`AsyncNotifier::poll`](crate::lib_async::AsyncNotifier::poll)
    /// when that changes.
    ///
    /// Left out: `ENOSYS`, and the kernel takes every file as ready from then on.
    fn poll(&self, op: op::Poll<'_>) -> impl Future<Output = Result<Poll>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Reserve, free or zero a range of an open file; `mode` is `FALLOC_FL_*`, and `EOPNOTSUPP`
    /// answers one that is not supported. Left out: `ENOSYS`, and the kernel fails such calls with
    /// `EOPNOTSUPP` from then on.
    fn fallocate(&self, op: op::Fallocate<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Find data or a hole from `offset` on: `whence` is `SEEK_DATA` or `SEEK_HOLE`; `ENXIO` past
    /// the end. Left out: `ENOSYS`, and the kernel takes files as all data from then on.
    fn lseek(&self, op: op::Lseek<'_>) -> impl Future<Output = Result<Offset>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Copy a range from one open file to another without its data passing through the kernel.
    ///
    /// Answer with how much was copied. Left out: `ENOSYS`, and the kernel reads and writes
    /// instead.
    fn copy_file_range(
        &self,
        op: op::CopyFileRange<'_>,
    ) -> impl Future<Output = Result<Written>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Make the whole filesystem durable: `syncfs(2)`. The kernel asks it of trusted mounts alone,
    /// on a block device or virtiofs. Left out: `ENOSYS`, which the kernel takes as success and
    /// does not ask again.
    fn syncfs(&self, op: op::Syncfs<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Rename the volume. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn setvolname(&self, op: op::Setvolname<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Get the times of backup and creation. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn getxtimes(&self, op: op::Getxtimes<'_>) -> impl Future<Output = Result<XTimes>> + Send {
        async { Err(Errno::ENOSYS) }
    }

    /// Swap two files' contents. Asked on macOS alone. Left out: `ENOSYS`.
    #[cfg(target_os = "macos")]
    fn exchange(&self, op: op::Exchange<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Err(Errno::ENOSYS) }
    }
}
