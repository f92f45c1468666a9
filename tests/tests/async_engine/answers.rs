//! Every answer arrives byte for byte.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use async_fuser::lib_async::*;
use async_fuser::op::Operation;
use async_fuser::*;
use bytes::Bytes;
use tests::Kernel;
use tests::opcode::*;

use crate::stage::*;

const TTL: Duration = Duration::new(12, 345);
const OTHER_TTL: Duration = Duration::new(67, 890);
const BYTES: &[u8] = b"some bytes\0";

/// Attributes in which every field is another number.
pub(crate) fn attr(ino: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: 0x1_0000_0001,
        blocks: 3,
        atime: UNIX_EPOCH + Duration::new(4, 5),
        mtime: UNIX_EPOCH + Duration::new(6, 7),
        ctime: UNIX_EPOCH - Duration::new(8, 9),
        crtime: UNIX_EPOCH + Duration::new(10, 11),
        kind: FileType::Symlink,
        perm: 0o1234,
        nlink: 12,
        uid: 13,
        gid: 14,
        rdev: 15,
        blksize: 16,
        flags: 17,
    }
}

fn statx() -> StatxAttr {
    StatxAttr::from(attr(18))
}

fn opened() -> Opened {
    Opened::new(FileHandle(19)).with_flags(FLAGS)
}

const FLAGS: FopenFlags = FopenFlags::FOPEN_DIRECT_IO.union(FopenFlags::FOPEN_NOFLUSH);
const ENTRIES: [(u64, FileType, &str); 4] = [
    (20, FileType::Directory, "a"),
    (21, FileType::RegularFile, "names"),
    (22, FileType::NamedPipe, "of-8-byt"),
    (23, FileType::Socket, "several lengths"),
];
const STATFS_OUT: lib_async::Statfs = lib_async::Statfs {
    blocks: 24,
    bfree: 25,
    bavail: 26,
    files: 27,
    ffree: 28,
    bsize: 29,
    namelen: 30,
    frsize: 31,
};
const COPIED: u64 = (1 << 40) + 32;

struct AsValues;

impl AsyncFilesystem for AsValues {
    async fn lookup(&self, op: op::Lookup<'_>) -> Result<Entry> {
        match op.parent.0 {
            READY => Ok(Entry::new(attr(33), TTL)
                .with_attr_ttl(OTHER_TTL)
                .with_generation(Generation(34))),
            LATER => Ok(Entry::negative(TTL)),
            _ => Err(Errno::ENOENT),
        }
    }

    async fn symlink(&self, _: op::Symlink<'_>) -> Result<Entry> {
        Ok(Entry::new(attr(35), OTHER_TTL))
    }

    async fn getattr(&self, op: op::Getattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino.0), TTL))
    }

    async fn setattr(&self, op: op::Setattr<'_>) -> Result<Attr> {
        Ok(Attr::new(attr(op.ino.0), OTHER_TTL))
    }

    async fn statx(&self, _: op::Statx<'_>) -> Result<lib_async::Statx> {
        Ok(lib_async::Statx::new(statx(), TTL))
    }

    async fn readlink(&self, _: op::Readlink<'_>) -> Result<Data<'_>> {
        Ok(BYTES.into())
    }

    async fn unlink(&self, _: op::Unlink<'_>) -> Result<()> {
        Ok(())
    }

    async fn open(&self, _: op::Open<'_>) -> Result<Opened> {
        Ok(opened())
    }

    async fn opendir(&self, _: op::Opendir<'_>) -> Result<Opened> {
        Ok(opened())
    }

    async fn read(&self, _: op::Read<'_>) -> Result<Data<'_>> {
        Ok(BYTES.to_vec().into())
    }

    async fn write(&self, op: op::Write<'_>) -> Result<Written> {
        Ok(Written(op.data.len() as u64))
    }

    async fn readdir(&self, op: op::Readdir<'_>) -> Result<Listing> {
        let mut listing = Listing::new(&op);
        for (ino, kind, name) in ENTRIES {
            if listing.add(INodeNo(ino), ino + 100, kind, name) {
                break;
            }
        }
        Ok(listing)
    }

    async fn readdirplus(&self, op: op::Readdirplus<'_>) -> Result<ListingPlus> {
        let mut listing = ListingPlus::new(&op);
        for (ino, _, name) in ENTRIES {
            let entry = Entry::new(attr(ino), TTL).with_generation(Generation(36));
            if listing.add(ino + 100, name, &entry) {
                break;
            }
        }
        Ok(listing)
    }

    async fn statfs(&self, _: op::Statfs<'_>) -> Result<lib_async::Statfs> {
        Ok(STATFS_OUT)
    }

    async fn getxattr(&self, _: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        Ok(Xattr::new(BYTES))
    }

    async fn listxattr(&self, op: op::Listxattr<'_>) -> Result<Xattr<'_>> {
        let size = BYTES.len() as u32;
        Ok(if op.size == 0 { Xattr::size(size) } else { Xattr::new(BYTES.to_vec()) })
    }

    async fn create(&self, _: op::Create<'_>) -> Result<Created> {
        Ok(Created::new(attr(37), TTL, opened()).with_generation(Generation(38)))
    }

    async fn tmpfile(&self, _: op::Tmpfile<'_>) -> Result<Created> {
        Ok(Created::new(attr(39), OTHER_TTL, opened()))
    }

    async fn getlk(&self, _: op::Getlk<'_>) -> Result<Lock> {
        Ok(Lock { start: 40, end: u64::MAX, typ: libc::F_WRLCK, pid: 41 })
    }

    async fn bmap(&self, _: op::Bmap<'_>) -> Result<Block> {
        Ok(Block(42 << 32))
    }

    async fn ioctl(&self, op: op::Ioctl<'_>) -> Result<Ioctl<'_>> {
        Ok(match op.cmd {
            0 => Ioctl::new(-43),
            _ => Ioctl::new(43).with_data(op.in_data.to_vec()),
        })
    }

    async fn poll(&self, _: op::Poll<'_>) -> Result<lib_async::Poll> {
        Ok(lib_async::Poll(PollEvents::POLLIN | PollEvents::POLLHUP))
    }

    async fn lseek(&self, op: op::Lseek<'_>) -> Result<Offset> {
        Ok(Offset(op.offset + 44))
    }

    async fn copy_file_range(&self, _: op::CopyFileRange<'_>) -> Result<Written> {
        Ok(Written(COPIED))
    }
}

struct AsCalls;

#[rustfmt::skip]
impl Filesystem for AsCalls {
    fn lookup(&self, _: &Request, parent: INodeNo, _: &OsStr, reply: ReplyEntry) {
        match parent.0 {
            READY => reply.entry_with_ttls(&OTHER_TTL, &TTL, &attr(33), Generation(34)),
            LATER => reply.negative(&TTL),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &std::path::Path, reply: ReplyEntry) {
        reply.entry(&OTHER_TTL, &attr(35), Generation(0));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attr(ino.0));
    }

    fn setattr(&self, _: &Request, ino: INodeNo, _: Option<u32>, _: Option<u32>, _: Option<u32>,
        _: Option<u64>, _: Option<TimeOrNow>, _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>, _: Option<FileHandle>, _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>, _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>, reply: ReplyAttr) {
        reply.attr(&OTHER_TTL, &attr(ino.0));
    }

    fn statx(&self, _: &Request, _: INodeNo, _: Option<FileHandle>, _: u32, _: StatxMask,
        reply: ReplyStatx) {
        reply.statx(&TTL, &statx());
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        reply.data(BYTES);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.ok();
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(19), FLAGS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(19), FLAGS);
    }

    fn read(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u32, _: OpenFlags,
        _: Option<LockOwner>, reply: ReplyData) {
        reply.data(BYTES);
    }

    fn write(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, data: &[u8], _: WriteFlags,
        _: OpenFlags, _: Option<LockOwner>, reply: ReplyWrite) {
        reply.written(data.len() as u32);
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, mut reply: ReplyDirectory) {
        for (ino, kind, name) in ENTRIES {
            if reply.add(INodeNo(ino), ino + 100, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64,
        mut reply: ReplyDirectoryPlus) {
        for (ino, _, name) in ENTRIES {
            if reply.add(INodeNo(ino), ino + 100, name, &TTL, &attr(ino), Generation(36)) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(24, 25, 26, 27, 28, 29, 30, 31);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.data(BYTES);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.data(BYTES);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32,
        reply: ReplyCreate) {
        let (fh, generation) = (FileHandle(19), Generation(38));
        reply.created(&TTL, &attr(37), generation, fh, FLAGS);
    }

    fn tmpfile(&self, _: &Request, _: INodeNo, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let (fh, generation) = (FileHandle(19), Generation(0));
        reply.created(&OTHER_TTL, &attr(39), generation, fh, FLAGS);
    }

    fn getlk(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, _: u64, _: u64, _: i32,
        _: u32, reply: ReplyLock) {
        reply.locked(40, u64::MAX, libc::F_WRLCK, 41);
    }

    fn bmap(&self, _: &Request, _: INodeNo, _: u32, _: u64, reply: ReplyBmap) {
        reply.bmap(42 << 32);
    }

    fn ioctl(&self, _: &Request, _: INodeNo, _: FileHandle, _: IoctlFlags, cmd: u32,
        in_data: &[u8], _: u32, reply: ReplyIoctl) {
        match cmd {
            0 => reply.ioctl(-43, &[]),
            _ => reply.ioctl(43, in_data),
        }
    }

    fn poll(&self, _: &Request, _: INodeNo, _: FileHandle, _: PollNotifier, _: PollEvents,
        _: PollFlags, reply: ReplyPoll) {
        reply.poll(PollEvents::POLLIN | PollEvents::POLLHUP);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, offset: i64, _: i32,
        reply: ReplyLseek) {
        reply.offset(offset + 44);
    }

    fn copy_file_range(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: INodeNo,
        _: FileHandle, _: u64, _: u64, _: CopyFileRangeFlags, reply: ReplyWrite) {
        reply.copied(COPIED);
    }
}

#[test]
fn every_answer_is_the_sync_faces() {
    let (sync, fd) = Kernel::connect();
    let session =
        thread::spawn(move || Session::from_fd(AsCalls, fd, SessionACL::All, config())?.run());
    assert_eq!(sync.init(45).error, 0);
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(AsValues));
        let same = |opcode: u32, node: u64, body: &[u8]| {
            let (got, expected) = (kernel.ask(opcode, node, body), sync.ask(opcode, node, body));
            assert_eq!(
                (got.error, got.body),
                (expected.error, expected.body.clone()),
                "opcode {opcode} of {node}, {body:?}"
            );
            expected.body.len()
        };
        for node in [READY, LATER, 3] {
            for &opcode in ANSWERED.iter().filter(|&&opcode| opcode != IOCTL) {
                same(opcode, node, &valid(opcode));
            }
        }
        for size in [0, 1, 23, 24, 31, 32, 40, 63, 64, 65, 159, 160, 200, 300, 4096, 1 << 20] {
            let body = words_of(&[0, 0, 0, 0, size, 0, 0, 0, 0, 0]);
            for opcode in [READ, READDIR, READDIRPLUS] {
                same(opcode, READY, &body);
            }
            let named = [&words_of(&[size, 0])[..], b"user.x\0"].concat();
            same(GETXATTR, READY, &named);
            same(LISTXATTR, READY, &named[..8]);
            for cmd in [0, 1] {
                let body = [&words_of(&[0, 0, 0, cmd, 0, 0, 11, size])[..], BYTES].concat();
                same(IOCTL, READY, &body);
            }
        }
        let body = [&words_of(&[0, 0, 0, 0, 11, 0, 0, 0, 0, 0])[..], BYTES].concat();
        assert_eq!(same(WRITE, READY, &body), 8);
        // What is compared is something.
        let length = |opcode: u32| same(opcode, READY, &valid(opcode));
        for (opcode, len) in [
            (LOOKUP, 128),
            (GETATTR, 104),
            (STATX, 288),
            (READLINK, 11),
            (OPEN, 16),
            (CREATE, 144),
            (STATFS, 80),
            (GETLK, 24),
            (BMAP, 8),
            (POLL, 8),
            (LSEEK, 8),
            (COPY_FILE_RANGE, 8),
            (COPY_FILE_RANGE_64, 8),
        ] {
            assert_eq!(length(opcode), len, "opcode {opcode}");
        }
        end(stage, kernel, session);
    });
    drop(sync);
    session.join().expect("no panic").expect("a clean end");
}

#[test]
fn what_is_created_may_have_two_times() {
    let (filesystem, _) = does(|_, op| {
        Box::pin(async move {
            let created = Created::new(attr(37), TTL, opened());
            match op {
                Operation::Create(_) => Ok(Reply::Created(created.with_entry_ttl(OTHER_TTL))),
                Operation::Tmpfile(_) => Ok(Reply::Created(created.with_attr_ttl(OTHER_TTL))),
                op => at_once(&op),
            }
        })
    });
    let stage = Stage::new(Flavor::CurrentThread);
    let (kernel, session) = begin(&stage, builder(filesystem));
    // Seconds of the name and of the attributes, then their fractions.
    for (opcode, times) in [(CREATE, [67, 12, 890, 345]), (TMPFILE, [12, 67, 345, 890])] {
        let reply = words(&kernel.ask(opcode, READY, &valid(opcode)).body);
        assert_eq!([reply[4], reply[6], reply[8], reply[9]], times, "opcode {opcode}");
    }
    end(&stage, kernel, session);
    stage.close();
}

#[test]
fn a_copy_is_counted_in_as_many_bits_as_its_opcode_has() {
    let stage = Stage::new(Flavor::CurrentThread);
    let (kernel, session) = begin(&stage, builder(AsValues));
    assert_eq!(words(&kernel.ask(COPY_FILE_RANGE, 1, &[0; 56]).body), [u32::MAX, 0]);
    let copied = kernel.ask(COPY_FILE_RANGE_64, 1, &[0; 56]).body;
    assert_eq!(copied, COPIED.to_ne_bytes());
    end(&stage, kernel, session);
    stage.close();
}

/// Of each kind of data one, by the number of the inode.
struct Kinds {
    borrowed: Vec<u8>,
    shared: Arc<[u8]>,
    bytes: Bytes,
    file: Arc<OwnedFd>,
}

const KINDS: u64 = 13;
const TEXT: &[u8] = b"0123456789";

impl Kinds {
    fn new() -> Self {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[b"abc", TEXT, b"def"].concat()).expect("its contents");
        Self {
            borrowed: TEXT.to_vec(),
            shared: TEXT.into(),
            bytes: Bytes::from_static(TEXT),
            file: Arc::new(file.into()),
        }
    }
}

impl AsyncFilesystem for Kinds {
    async fn read(&self, op: op::Read<'_>) -> Result<Data<'_>> {
        if op.offset > 0 {
            tokio::task::yield_now().await;
        }
        let mut buffer = ReadBuffer::new(&op);
        Ok(match op.ino.0 {
            0 => Data::from(self.borrowed.as_slice()),
            1 => Data::from(&self.borrowed),
            2 => Data::from(b"0123456789"),
            3 => Data::from("0123456789"),
            4 => Data::from("0123456789".to_owned()),
            5 => Data::from(self.borrowed.clone()),
            6 => Data::from(self.borrowed.clone().into_boxed_slice()),
            7 => Data::from(self.shared.clone()),
            8 => Data::from(self.bytes.clone()),
            9 => {
                buffer[..TEXT.len()].copy_from_slice(TEXT);
                buffer.filled(TEXT.len())
            }
            10 => Data::from_file(self.file.as_fd(), 3..13),
            11 => Data::from_shared_file(self.file.clone(), 3..13),
            12 => Data::from_owned_file(self.file.try_clone().map_err(Errno::from)?, 3..13),
            13 => Data::from_file(self.file.as_fd(), 3..1 << 40),
            14 => buffer.into(),
            15 => Data::from_owned_file(File::open("/").map_err(Errno::from)?, 0..10),
            _ => Data::default(),
        })
    }

    async fn getxattr(&self, op: op::Getxattr<'_>) -> Result<Xattr<'_>> {
        Ok(match op.ino.0 {
            0 => Xattr::new(&self.borrowed),
            1 => Xattr::new(self.bytes.clone()),
            2 => Xattr::new(Data::from_file(self.file.as_fd(), 3..13)),
            _ => Xattr::size(10),
        })
    }
}

fn read(size: u32, offset: u32) -> Vec<u8> {
    words_of(&[0, 0, offset, 0, size, 0, 0, 0, 0, 0])
}

#[test]
fn data_of_every_kind_arrives() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Kinds::new()));
        // At once, and as a task.
        for offset in [0, 1] {
            for size in [10, 11, 4096, 100_000] {
                for ino in 0..KINDS {
                    let reply = kernel.ask(READ, ino, &read(size, offset));
                    assert_eq!((reply.error, &reply.body[..]), (0, TEXT), "kind {ino}, {size}");
                }
                assert_eq!(kernel.ask(READ, 14, &read(size, offset)).body.len(), size as usize);
                assert!(kernel.ask(READ, 16, &read(size, offset)).body.is_empty());
            }
        }
        end(stage, kernel, session);
    });
}

#[test]
fn more_than_there_is_room_for_is_eio() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Kinds::new()));
        for offset in [0, 1] {
            for ino in 0..9 {
                for size in [0, 1, 9] {
                    let reply = kernel.ask(READ, ino, &read(size, offset));
                    assert_eq!((reply.error, reply.body.len()), (libc::EIO, 0), "kind {ino}");
                }
            }
        }
        end(stage, kernel, session);
    });
}

/// A range says how much there may be: more than there is room for is not read.
#[test]
fn a_range_of_a_file_ends_where_the_room_or_the_file_does() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Kinds::new()));
        for offset in [0, 1] {
            for ino in 10..=13 {
                for size in [0, 1, 9] {
                    let reply = kernel.ask(READ, ino, &read(size, offset));
                    let expected = &TEXT[..size as usize];
                    assert_eq!((reply.error, &reply.body[..]), (0, expected), "kind {ino}, {size}");
                }
            }
            assert_eq!(kernel.ask(READ, 13, &read(1000, offset)).body, b"0123456789def");
            let reply = kernel.ask(READ, 15, &read(10, offset));
            assert_eq!(reply.error, libc::EISDIR, "a range of what cannot be read");
        }
        end(stage, kernel, session);
    });
}

#[test]
fn extended_attributes_follow_the_room_there_is() {
    on_both(|stage| {
        let (kernel, session) = begin(stage, builder(Kinds::new()));
        for ino in 0..4 {
            let ask = |size: u32| {
                let reply =
                    kernel.ask(GETXATTR, ino, &[&words_of(&[size, 0])[..], b"user.x\0"].concat());
                (reply.error, reply.body)
            };
            assert_eq!(ask(0), (0, words_of(&[10, 0])), "how large it is");
            for size in [1, 9] {
                // A range is read as far as there is room, and one more to see that there is not.
                assert_eq!(ask(size), (libc::ERANGE, Vec::new()), "kind {ino}, {size}");
            }
            let fits = if ino < 3 { (0, TEXT.to_vec()) } else { (libc::EIO, Vec::new()) };
            assert_eq!(ask(10), fits, "kind {ino}");
            assert_eq!(ask(65536), fits, "kind {ino}");
        }
        end(stage, kernel, session);
    });
}

/// An answer of another kind than the operation's is the filesystem's mistake, and ends nothing.
#[test]
fn an_answer_of_the_wrong_kind_is_one_answer() {
    on_both(|stage| {
        let (filesystem, _) = does(|_, op| {
            Box::pin(async move {
                match op {
                    Operation::Statfs(_) => at_once(&op),
                    Operation::Read(_) => Ok(Reply::Xattr(Xattr::size(5))),
                    Operation::Getxattr(_) => Ok(Reply::Opened(opened())),
                    Operation::Lookup(_) => Ok(Reply::Written(Written(7))),
                    op => Ok(Reply::Data(Data::from(op.method()))),
                }
            })
        });
        let (kernel, session) = begin(stage, builder(filesystem));
        for &opcode in ANSWERED {
            kernel.ask(opcode, READY, &valid(opcode));
            expect_silence(&kernel);
        }
        end(stage, kernel, session);
    });
}
