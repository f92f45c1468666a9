//! In its steady state the sync engine allocates nothing: not a byte on the threads that serve.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_fuser::*;
use nix::dir::Dir;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, copy_file_range, fallocate};
use nix::libc;
use nix::poll::{PollFd, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, mknod};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{LinkatFlags, Whence, access, linkat, lseek};
use tests::{Allocations, Counting, Mountpoint, eventually, within};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn one_thread_serves_without_allocating() {
    within(Duration::from_secs(120), || serving_allocates_nothing(1));
}

#[test]
fn four_threads_serve_without_allocating() {
    within(Duration::from_secs(120), || serving_allocates_nothing(4));
}

#[test]
fn what_a_method_allocates_is_seen() {
    within(Duration::from_secs(60), || {
        let mountpoint = Mountpoint::new();
        let seen = Arc::new(Seen::new(1));
        let (allocating, config) = (Tree { seen: seen.clone(), wasteful: true }, Config::default());
        let session = spawn_mount(allocating, mountpoint.path(), &config).unwrap();
        let file = File::open(mountpoint.join("caller-0/file")).unwrap();
        let before = seen.allocations();
        for _ in 0..10 {
            fstat(&file).unwrap();
        }
        assert_eq!(seen.allocations() - before, 10);
        drop(file);
        session.umount_and_join().unwrap();
    });
}

fn serving_allocates_nothing(n_threads: usize) {
    let mountpoint = Mountpoint::new();
    let seen = Arc::new(Seen::new(n_threads));
    let tree = Tree { seen: seen.clone(), wasteful: false };
    let mut config = Config::default();
    config.n_threads = Some(n_threads);
    config.clone_fd = n_threads > 1;
    let session = spawn_mount(tree, mountpoint.path(), &config).unwrap();
    let mut callers: Vec<_> =
        (0..n_threads).map(|number| Caller::new(mountpoint.path(), number)).collect();

    // Each thread's first listing brings it the buffer it keeps. The threads wait for each other in
    // the middle of it, so that none of them is left out.
    seen.together.store(true, Ordering::SeqCst);
    all(&mut callers, |caller| list(caller));
    seen.together.store(false, Ordering::SeqCst);
    assert_eq!(seen.threads.load(Ordering::SeqCst), n_threads);

    let warm = seen.allocations();
    for Work { name, methods, times, once } in WORK {
        let before =
            (seen.allocations(), methods.iter().map(|method| seen.calls(method)).collect());
        all(&mut callers, |caller| {
            for _ in 0..*times {
                once(caller).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        });
        let (allocations, calls): (_, Vec<u64>) = before;
        for (method, calls) in methods.iter().zip(calls) {
            let expected = (*times * n_threads) as u64;
            // Nobody waits for a FORGET or a RELEASE.
            eventually(Duration::from_secs(10), &format!("{name}: {method} is called"), || {
                seen.calls(method) - calls >= expected
            });
        }
        let allocated = seen.allocations() - allocations;
        assert_eq!(allocated, 0, "{name}: allocations in {times} times, {n_threads} threads");
    }
    assert_eq!(seen.allocations(), warm);
    drop(callers);
    session.umount_and_join().unwrap();
}

/// What a caller does over and over.
struct Work {
    name: &'static str,
    /// The methods that each time calls at least once.
    methods: &'static [&'static str],
    times: usize,
    once: fn(&mut Caller) -> io::Result<()>,
}

const MANY: usize = 2000;
const SOME: usize = 200;

const WORK: &[Work] = &[
    Work {
        name: "lookup",
        methods: &["lookup"],
        times: MANY,
        once: |caller| {
            fstatat(AT_FDCWD, &caller.file_path, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            Ok(())
        },
    },
    Work {
        name: "lookup in vain",
        methods: &["lookup"],
        times: MANY,
        once: |caller| {
            assert!(!caller.new.exists());
            Ok(())
        },
    },
    Work {
        name: "getattr",
        methods: &["getattr"],
        times: MANY,
        once: |caller| {
            fstat(&caller.file)?;
            Ok(())
        },
    },
    Work {
        name: "statx",
        methods: &["statx"],
        times: MANY,
        once: |caller| {
            assert_eq!(caller.file.metadata()?.size(), SIZE as u64);
            Ok(())
        },
    },
    Work {
        name: "setattr",
        methods: &["setattr"],
        times: MANY,
        once: |caller| caller.file.set_permissions(Permissions::from_mode(0o755)),
    },
    Work {
        name: "access",
        methods: &["access"],
        times: MANY,
        once: |caller| Ok(access(&caller.file_path, nix::unistd::AccessFlags::W_OK)?),
    },
    Work {
        name: "readlink",
        methods: &["readlink"],
        times: MANY,
        once: |caller| {
            assert_eq!(fs::read_link(&caller.link)?, Path::new(TARGET));
            Ok(())
        },
    },
    Work {
        name: "open",
        methods: &["open", "flush", "release"],
        times: MANY,
        once: |caller| {
            drop(File::open(&caller.file_path)?);
            Ok(())
        },
    },
    Work {
        name: "read 4 KiB",
        methods: &["read"],
        times: MANY,
        once: |caller| caller.file.read_exact_at(&mut caller.buffer[..4096], 8192),
    },
    Work {
        name: "read 1 MiB",
        methods: &["read"],
        times: SOME,
        once: |caller| caller.file.read_exact_at(&mut caller.buffer, 0),
    },
    Work {
        name: "write 4 KiB",
        methods: &["write"],
        times: MANY,
        once: |caller| caller.file.write_all_at(&caller.buffer[..4096], 8192),
    },
    Work {
        name: "write 1 MiB",
        methods: &["write"],
        times: SOME,
        once: |caller| caller.file.write_all_at(&caller.buffer, 0),
    },
    Work { name: "fsync", methods: &["fsync"], times: MANY, once: |caller| caller.file.sync_all() },
    Work {
        name: "fallocate",
        methods: &["fallocate"],
        times: MANY,
        once: |caller| Ok(fallocate(&caller.file, FallocateFlags::empty(), 0, 4096)?),
    },
    Work {
        name: "lseek",
        methods: &["lseek"],
        times: MANY,
        once: |caller| {
            lseek(&caller.file, 0, Whence::SeekData)?;
            Ok(())
        },
    },
    Work {
        name: "copy",
        methods: &["copy_file_range"],
        times: MANY,
        once: |caller| {
            let (mut from, mut to) = (0, 8192);
            copy_file_range(&caller.file, Some(&mut from), &caller.file, Some(&mut to), 4096)?;
            Ok(())
        },
    },
    Work {
        name: "poll",
        methods: &["poll"],
        times: MANY,
        once: |caller| {
            let mut fds = [PollFd::new(caller.file.as_fd(), nix::poll::PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(1000u16))?, 1);
            Ok(())
        },
    },
    Work {
        name: "ioctl",
        methods: &["ioctl"],
        times: MANY,
        once: |caller| {
            let mut out = 0;
            // SAFETY: the descriptor is open, and the kernel writes one u32 for this command.
            unsafe { command(caller.file.as_raw_fd(), &mut out) }?;
            assert_eq!(out, SIZE as u32);
            Ok(())
        },
    },
    Work {
        name: "locks",
        methods: &["setlk", "getlk"],
        times: MANY,
        once: |caller| {
            caller.lock(libc::F_SETLK)?;
            caller.lock(libc::F_GETLK)
        },
    },
    Work {
        name: "statfs",
        methods: &["statfs"],
        times: MANY,
        once: |caller| {
            fstatvfs(&caller.file)?;
            Ok(())
        },
    },
    Work {
        name: "extended attributes",
        methods: &["setxattr", "getxattr", "listxattr", "removexattr"],
        times: MANY,
        once: |caller| caller.extended_attributes(),
    },
    Work {
        name: "list",
        methods: &["opendir", "readdirplus", "readdir", "releasedir"],
        times: SOME,
        once: |caller| {
            list(caller);
            Ok(())
        },
    },
    Work {
        name: "fsyncdir",
        methods: &["fsyncdir"],
        times: MANY,
        once: |caller| caller.directory.sync_all(),
    },
    Work {
        name: "create",
        methods: &["create", "unlink", "forget"],
        times: MANY,
        once: |caller| {
            drop(File::create_new(&caller.new)?);
            fs::remove_file(&caller.new)
        },
    },
    Work {
        name: "mknod",
        methods: &["mknod", "unlink"],
        times: MANY,
        once: |caller| {
            mknod(&caller.new, SFlag::S_IFREG, Mode::S_IRUSR, 0)?;
            fs::remove_file(&caller.new)
        },
    },
    Work {
        name: "mkdir",
        methods: &["mkdir", "rmdir"],
        times: MANY,
        once: |caller| {
            fs::create_dir(&caller.new)?;
            fs::remove_dir(&caller.new)
        },
    },
    Work {
        name: "symlink",
        methods: &["symlink", "unlink"],
        times: MANY,
        once: |caller| {
            symlink(TARGET, &caller.new)?;
            fs::remove_file(&caller.new)
        },
    },
    Work {
        name: "link",
        methods: &["link", "unlink"],
        times: MANY,
        once: |caller| {
            linkat(AT_FDCWD, &caller.file_path, AT_FDCWD, &caller.new, LinkatFlags::empty())?;
            fs::remove_file(&caller.new)
        },
    },
    Work {
        name: "rename",
        methods: &["rename", "unlink"],
        times: MANY,
        once: |caller| {
            drop(File::create_new(&caller.new)?);
            fs::rename(&caller.new, &caller.moved)?;
            fs::remove_file(&caller.moved)
        },
    },
];

/// Somebody with a directory of its own.
struct Caller {
    directory: File,
    directory_path: PathBuf,
    file: File,
    file_path: PathBuf,
    link: PathBuf,
    new: PathBuf,
    moved: PathBuf,
    buffer: Vec<u8>,
}

impl Caller {
    fn new(mountpoint: &Path, number: usize) -> Self {
        let path = mountpoint.join(format!("{DIRECTORY}{number}"));
        let file_path = path.join(FILE);
        Self {
            directory: File::open(&path).unwrap(),
            file: File::options().read(true).write(true).open(&file_path).unwrap(),
            file_path,
            link: path.join(LINK),
            new: path.join(NEW),
            moved: path.join(MOVED),
            directory_path: path,
            buffer: vec![b'x'; SIZE],
        }
    }

    fn lock(&self, command: i32) -> io::Result<()> {
        let mut lock = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 10,
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, and these commands take a pointer to this struct.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), command, &raw mut lock) };
        Ok(nix::errno::Errno::result(result).map(drop)?)
    }

    fn extended_attributes(&mut self) -> io::Result<()> {
        const NAME: &CStr = c"user.name";
        let (fd, name) = (self.file.as_raw_fd(), NAME.as_ptr());
        let (to, len) = (self.buffer.as_mut_ptr().cast(), 100);
        let check = |result: isize| Ok::<_, io::Error>(nix::errno::Errno::result(result)?);
        // SAFETY: the descriptor is open, the name ends with a zero, and the kernel reads or writes
        // at most 100 bytes of the buffer, which is larger.
        unsafe {
            check(libc::fsetxattr(fd, name, to, len, 0) as isize)?;
            assert_eq!(check(libc::fgetxattr(fd, name, to, 0))?, 5);
            assert_eq!(check(libc::fgetxattr(fd, name, to.cast(), len))?, 5);
            assert_eq!(check(libc::flistxattr(fd, to.cast(), len))?, 10);
            check(libc::fremovexattr(fd, name) as isize)?;
        }
        Ok(())
    }
}

nix::ioctl_read!(
    /// An ioctl that only this filesystem knows.
    command, b'E', 0, u32
);

/// Has all callers do something at the same time.
fn all(callers: &mut [Caller], what: impl Fn(&mut Caller) + Sync) {
    thread::scope(|scope| {
        for caller in callers {
            scope.spawn(|| what(caller));
        }
    });
}

fn list(caller: &Caller) {
    let mut listing = Dir::open(&caller.directory_path, OFlag::O_RDONLY, Mode::empty()).unwrap();
    assert_eq!(listing.iter().map(Result::unwrap).count(), ENTRIES);
}

// What is served.

const DIRECTORY: &str = "caller-";
const FILE: &str = "file";
const LINK: &str = "link";
const NEW: &str = "new";
const MOVED: &str = "moved";
const TARGET: &str = "some/where";
const SIZE: usize = 1 << 20;
/// More than one piece.
const ENTRIES: usize = 500;

static CONTENT: [u8; SIZE] = [7; SIZE];

/// What a tree has seen, for the test to look at.
struct Seen {
    /// How many allocations there were on threads that serve.
    allocations: &'static Allocations,
    /// How many threads have served.
    threads: AtomicUsize,
    calls: HashMap<&'static str, AtomicU64>,
    /// Listings wait until every thread has one.
    together: AtomicBool,
    barrier: Barrier,
    /// For each caller, the inodes of its new and its moved file; 0 if they are not there.
    new: [[AtomicU64; 2]; 4],
    /// How many have been made.
    made: AtomicU64,
    /// All the names in a directory.
    names: Vec<String>,
}

impl Seen {
    fn new(n_threads: usize) -> Self {
        let methods = WORK.iter().flat_map(|work| work.methods);
        Self {
            // As long as any thread may count.
            allocations: Box::leak(Box::default()),
            threads: AtomicUsize::new(0),
            calls: methods.map(|&method| (method, AtomicU64::new(0))).collect(),
            together: AtomicBool::new(false),
            barrier: Barrier::new(n_threads),
            new: Default::default(),
            made: AtomicU64::new(0),
            names: (0..ENTRIES).map(|i| format!("entry-{i:04}")).collect(),
        }
    }

    fn allocations(&self) -> u64 {
        self.allocations.number()
    }

    fn calls(&self, method: &str) -> u64 {
        self.calls[method].load(Ordering::SeqCst)
    }

    /// From the first call of a method on, a thread is one that serves.
    fn call(&self, method: &str) {
        if Counting::count_here(self.allocations) {
            self.threads.fetch_add(1, Ordering::SeqCst);
        }
        self.calls[method].fetch_add(1, Ordering::SeqCst);
    }

    fn wait_for_the_others(&self) {
        if self.together.load(Ordering::SeqCst) {
            self.barrier.wait();
        }
    }

    fn slot(&self, parent: INodeNo, name: &OsStr) -> Option<&AtomicU64> {
        let of_caller = self.new.get(parent.0.checked_sub(DIRECTORIES)? as usize)?;
        [NEW, MOVED].iter().position(|known| name == *known).map(|i| &of_caller[i])
    }

    /// Makes a file of some kind that has never been there.
    fn make(&self, parent: INodeNo, name: &OsStr, kind: u64) -> Result<FileAttr, Errno> {
        let made = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        self.insert(parent, name, made * KINDS + kind)
    }

    fn insert(&self, parent: INodeNo, name: &OsStr, ino: u64) -> Result<FileAttr, Errno> {
        self.slot(parent, name).ok_or(Errno::EACCES)?.store(ino, Ordering::SeqCst);
        Ok(attr(ino))
    }

    fn remove(&self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        let slot = self.slot(parent, name).ok_or(Errno::ENOENT)?;
        match slot.swap(0, Ordering::SeqCst) {
            0 => Err(Errno::ENOENT),
            ino => Ok(ino),
        }
    }

    fn look_up(&self, parent: INodeNo, name: &OsStr) -> Option<FileAttr> {
        let name_in_utf8 = name.to_str()?;
        if parent == INodeNo::ROOT {
            let caller: u64 = name_in_utf8.strip_prefix(DIRECTORY)?.parse().ok()?;
            return Some(attr(DIRECTORIES + caller));
        }
        let caller = parent.0.checked_sub(DIRECTORIES)?;
        let ino = match name_in_utf8 {
            FILE => FILES + caller,
            LINK => LINKS + caller,
            _ => self.slot(parent, name)?.load(Ordering::SeqCst),
        };
        (ino != 0).then(|| attr(ino))
    }
}

// The last three digits of an inode number say what it is, and whose.
const DIRECTORIES: u64 = 100;
const FILES: u64 = 200;
const LINKS: u64 = 300;
const NEW_FILES: u64 = 400;
const NEW_DIRECTORIES: u64 = 500;
const NEW_LINKS: u64 = 600;
const OTHERS: u64 = 700;
const KINDS: u64 = 1000;

const TTL: Duration = Duration::ZERO;

fn attr(ino: u64) -> FileAttr {
    let kind = match ino % KINDS / 100 * 100 {
        0 | DIRECTORIES | NEW_DIRECTORIES => FileType::Directory,
        LINKS | NEW_LINKS => FileType::Symlink,
        _ => FileType::RegularFile,
    };
    FileAttr {
        ino: INodeNo(ino),
        size: SIZE as u64,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0o755,
        nlink: 2,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

struct Tree {
    seen: Arc<Seen>,
    /// Allocate in `getattr`.
    wasteful: bool,
}

impl Tree {
    fn entry(&self, made: Result<FileAttr, Errno>, reply: ReplyEntry) {
        match made {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn empty<T>(&self, done: Result<T, Errno>, reply: ReplyEmpty) {
        match done {
            Ok(_) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }
}

#[rustfmt::skip]
impl Filesystem for Tree {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = InitFlags::FUSE_POSIX_LOCKS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        config.add_capabilities(wanted).expect("a kernel with locks and readdirplus");
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.seen.call("lookup");
        self.entry(self.seen.look_up(parent, name).ok_or(Errno::ENOENT), reply);
    }

    fn forget(&self, _: &Request, _: INodeNo, _: u64) {
        self.seen.call("forget");
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.seen.call("getattr");
        if self.wasteful {
            std::hint::black_box(Box::new(ino));
        }
        reply.attr(&TTL, &attr(ino.0));
    }

    fn statx(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, _: u32, _: StatxMask,
        reply: ReplyStatx) {
        self.seen.call("statx");
        reply.statx(&TTL, &attr(ino.0).into());
    }

    fn setattr(&self, _: &Request, ino: INodeNo, _: Option<u32>, _: Option<u32>, _: Option<u32>,
        _: Option<u64>, _: Option<TimeOrNow>, _: Option<TimeOrNow>, _: Option<SystemTime>,
        _: Option<FileHandle>, _: Option<SystemTime>, _: Option<SystemTime>,
        _: Option<SystemTime>, _: Option<BsdFileFlags>, reply: ReplyAttr) {
        self.seen.call("setattr");
        reply.attr(&TTL, &attr(ino.0));
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        self.seen.call("access");
        reply.ok();
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        self.seen.call("readlink");
        reply.data(TARGET.as_bytes());
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.seen.call("open");
        reply.opened(FileHandle(ino.0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, size: u32, _: OpenFlags,
        _: Option<LockOwner>, reply: ReplyData) {
        self.seen.call("read");
        let rest = CONTENT.get(offset as usize..).unwrap_or_default();
        reply.data(&rest[..rest.len().min(size as usize)]);
    }

    fn write(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, data: &[u8], _: WriteFlags,
        _: OpenFlags, _: Option<LockOwner>, reply: ReplyWrite) {
        self.seen.call("write");
        reply.written(data.len() as u32);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.seen.call("flush");
        reply.ok();
    }

    fn release(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, _: Option<LockOwner>,
        _: bool, reply: ReplyEmpty) {
        self.seen.call("release");
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.seen.call("fsync");
        reply.ok();
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.seen.call("opendir");
        reply.opened(FileHandle(ino.0), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64,
        mut reply: ReplyDirectory) {
        self.seen.call("readdir");
        self.seen.wait_for_the_others();
        for (next, name) in (1..).zip(&self.seen.names).skip(offset as usize) {
            if reply.add(INodeNo(next * KINDS + OTHERS), next, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64,
        mut reply: ReplyDirectoryPlus) {
        self.seen.call("readdirplus");
        self.seen.wait_for_the_others();
        for (next, name) in (1..).zip(&self.seen.names).skip(offset as usize) {
            let attr = attr(next * KINDS + OTHERS);
            if reply.add(attr.ino, next, name, &TTL, &attr, Generation(0)) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.seen.call("releasedir");
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.seen.call("fsyncdir");
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.seen.call("statfs");
        reply.statfs(1, 1, 1, 1, 1, 4096, 255, 4096);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32,
        reply: ReplyEmpty) {
        self.seen.call("setxattr");
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        self.seen.call("getxattr");
        reply.data(b"value");
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        self.seen.call("listxattr");
        reply.data(b"user.name\0");
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        self.seen.call("removexattr");
        reply.ok();
    }

    fn getlk(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, start: u64, end: u64,
        _: i32, _: u32, reply: ReplyLock) {
        self.seen.call("getlk");
        reply.locked(start, end, libc::F_UNLCK, 0);
    }

    fn setlk(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, _: u64, _: u64, _: i32,
        _: u32, _: bool, reply: ReplyEmpty) {
        self.seen.call("setlk");
        reply.ok();
    }

    fn ioctl(&self, _: &Request, _: INodeNo, _: FileHandle, _: IoctlFlags, _: u32, _: &[u8],
        _: u32, reply: ReplyIoctl) {
        self.seen.call("ioctl");
        reply.ioctl(0, &(SIZE as u32).to_ne_bytes());
    }

    fn poll(&self, _: &Request, _: INodeNo, _: FileHandle, notifier: PollNotifier, _: PollEvents,
        _: PollFlags, reply: ReplyPoll) {
        self.seen.call("poll");
        reply.poll(PollEvents::POLLIN);
        // Nobody may be waiting, as it is ready.
        let _ = notifier.notify();
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32,
        reply: ReplyEmpty) {
        self.seen.call("fallocate");
        reply.ok();
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, offset: i64, _: i32,
        reply: ReplyLseek) {
        self.seen.call("lseek");
        reply.offset(offset);
    }

    fn copy_file_range(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: INodeNo,
        _: FileHandle, _: u64, len: u64, _: CopyFileRangeFlags, reply: ReplyWrite) {
        self.seen.call("copy_file_range");
        reply.copied(len);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32,
        reply: ReplyCreate) {
        self.seen.call("create");
        match self.seen.make(parent, name, NEW_FILES) {
            Ok(attr) => {
                let (fh, flags) = (FileHandle(attr.ino.0), FopenFlags::FOPEN_DIRECT_IO);
                reply.created(&TTL, &attr, Generation(0), fh, flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: u32,
        reply: ReplyEntry) {
        self.seen.call("mknod");
        self.entry(self.seen.make(parent, name, NEW_FILES), reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        self.seen.call("mkdir");
        self.entry(self.seen.make(parent, name, NEW_DIRECTORIES), reply);
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, _: &Path, reply: ReplyEntry) {
        self.seen.call("symlink");
        self.entry(self.seen.make(parent, name, NEW_LINKS), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.seen.call("link");
        self.entry(self.seen.insert(parent, name, ino.0), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.seen.call("unlink");
        self.empty(self.seen.remove(parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.seen.call("rmdir");
        self.empty(self.seen.remove(parent, name), reply);
    }

    fn rename(&self, _: &Request, parent: INodeNo, name: &OsStr, to: INodeNo, new_name: &OsStr,
        _: RenameFlags, reply: ReplyEmpty) {
        self.seen.call("rename");
        let moved = self.seen.remove(parent, name);
        self.empty(moved.and_then(|ino| self.seen.insert(to, new_name, ino)), reply);
    }
}
