//! A whole session, with a socket in the place of the kernel.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_fuser::{
    AccessFlags, BsdFileFlags, Config, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner,
    OpenFlags, PollEvents, PollFlags, PollNotifier, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyStatx, ReplyWrite, ReplyXattr, Request, Session,
    SessionACL, StatxAttr, StatxMask, TimeOrNow, WriteFlags,
};
use nix::errno::Errno as Os;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair,
};
use nix::sys::time::TimeVal;

use super::requests::{DESTROY, HEADER, INIT, REQUESTS, code, request, word};

/// A session that is told hostile things.
///
/// ```text
/// [ capabilities the filesystem asks for: 8 bytes ] [ first message ] [ message ] ...
///
/// message  [ length: 15 bits | the header's length stays as it is: 1 bit ] [ bytes ]
/// ```
///
/// The first message stands in for the kernel's INIT; if it leads to no session, another one is
/// begun properly. After each message the session must still answer a plain request, must have
/// answered the message once, or not at all if it is one of those that never are, and no method,
/// worker or reply may have panicked.
pub fn session(input: &[u8]) {
    count_panics();
    let before = PANICS.load(Ordering::SeqCst);
    let Some((wanted, mut input)) = input.split_first_chunk() else { return };
    let wanted = InitFlags::from_bits_retain(u64::from_le_bytes(*wanted));

    let mut kernel = Kernel::new(wanted);
    let first = message(&mut input).unwrap_or_default();
    if !kernel.begin(&first) {
        kernel.end(false);
        kernel = Kernel::new(wanted);
        assert!(kernel.begin(&[]), "a proper INIT was refused");
    }
    let mut is_over = false;
    for _ in 0..64 {
        let Some(message) = message(&mut input) else { break };
        is_over = !kernel.ask(&message);
        if is_over {
            break;
        }
    }
    if !is_over {
        kernel.ask_plainly();
    }
    kernel.end(true);
    assert_eq!(PANICS.load(Ordering::SeqCst), before, "something panicked and was caught");
}

/// Cuts the next message off. The header gets the right length, unless the input says otherwise.
fn message(input: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = input.split_first_chunk()?;
    let len = u16::from_le_bytes(*len);
    let (bytes, rest) = rest.split_at(rest.len().min(usize::from(len & 0x7fff)));
    *input = rest;
    let mut bytes = bytes.to_vec();
    if len & 0x8000 == 0 && bytes.len() >= 4 {
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
    }
    Some(bytes)
}

/// The kernel's end of a session.
struct Kernel {
    socket: OwnedFd,
    session: JoinHandle<io::Result<()>>,
    buffer: Vec<u8>,
}

impl Kernel {
    fn new(wanted: InitFlags) -> Self {
        let (socket, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .expect("a pair of sockets");
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(20, 0)).expect("a time limit");
        let session = thread::spawn(move || {
            Session::from_fd(Small { wanted }, theirs, SessionACL::All, Config::default())?.run()
        });
        Self { socket, session, buffer: vec![0; 1 << 18] }
    }

    /// Sends a first message and then a proper INIT. False if that leads to no session.
    fn begin(&mut self, first: &[u8]) -> bool {
        let init = REQUESTS.iter().find(|row| row.code == INIT).expect("INIT is a request");
        let unique = other_than(first);
        self.send(first);
        self.send(&init.bytes(unique));
        let answered = self.answers(first, Some(unique));
        if first.len() >= HEADER {
            assert_eq!(answered.to_first, usize::from(is_answered(code(first))), "{first:?}");
        }
        answered.to_second == 1
    }

    /// Sends a message, and makes sure of its answer and of the session's health. False if the
    /// session ends because it was asked to.
    fn ask(&mut self, message: &[u8]) -> bool {
        if message.is_empty() {
            return true; // Nothing at all is the end of a socket.
        }
        self.send(message);
        let is_whole = word(message, 0) as usize == message.len();
        if message.len() >= HEADER && code(message) == DESTROY && is_whole {
            let answered = self.answers(message, None);
            assert_eq!(answered.to_first, 1, "DESTROY is answered");
            return false;
        }
        let unique = other_than(message);
        self.send(&request(STATFS, unique, &[]));
        let answered = self.answers(message, Some(unique));
        assert_eq!(answered.to_second, 1, "the session ended after {message:?}");
        let due = message.len() >= HEADER && is_answered(code(message));
        assert_eq!(answered.to_first, usize::from(due), "answers to {message:?}");
        true
    }

    /// One request of each kind, after all that went before.
    fn ask_plainly(&mut self) {
        for row in REQUESTS.iter().filter(|row| row.code != DESTROY) {
            assert!(self.ask(&row.bytes(2)));
        }
    }

    /// Closes the connection, which ends the session.
    fn end(self, properly: bool) {
        let Self { socket, session, .. } = self;
        drop(socket);
        let result = session.join().expect("the session's thread panicked");
        if properly {
            result.expect("the session ended with an error");
        } else {
            result.expect_err("nothing was agreed on, and nothing went wrong");
        }
    }

    fn send(&self, message: &[u8]) {
        if message.is_empty() {
            return;
        }
        match send(self.socket.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL) {
            Ok(len) => assert_eq!(len, message.len()),
            // A session that is over is found out by its answers.
            Err(Os::EPIPE | Os::ECONNRESET) => {}
            Err(error) => panic!("a message of {} bytes: {error}", message.len()),
        }
    }

    /// Reads until the second message is answered, or the session is over.
    fn answers(&mut self, first: &[u8], second: Option<u64>) -> Answers {
        let mut answers = Answers::default();
        loop {
            let len = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(0) => return answers,
                Ok(len) => len,
                // What was sent before the reset is still there to be read.
                Err(Os::ECONNRESET | Os::EINTR) => continue,
                Err(Os::EAGAIN) => panic!("the session hangs after {first:?}"),
                Err(error) => panic!("no answer to {first:?}: {error}"),
            };
            let answer = &self.buffer[..len];
            let (error, unique, body) = parse(answer);
            if error > 0 {
                assert_eq!(unique, 0, "a notification with a number");
            } else if Some(unique) == second {
                answers.to_second += 1;
                return answers;
            } else {
                assert_eq!(Some(unique), unique_of(first), "an answer to nothing");
                answers.to_first += 1;
                if error == 0 {
                    fits(first, body);
                }
            }
        }
    }
}

/// How often each of two messages was answered.
#[derive(Default)]
struct Answers {
    to_first: usize,
    to_second: usize,
}

/// An answer's error, number and body.
fn parse(answer: &[u8]) -> (i32, u64, &[u8]) {
    assert!(answer.len() >= 16, "an answer without a header: {answer:?}");
    assert_eq!(word(answer, 0) as usize, answer.len(), "the header's length");
    let error = word(answer, 4) as i32;
    assert!((-4095..=100).contains(&error), "{error} is no error the kernel accepts");
    assert!(error >= 0 || answer.len() == 16, "an error with a body");
    let (unique, body) = answer[8..].split_first_chunk().expect("a header has a number");
    (error, u64::from_ne_bytes(*unique), body)
}

/// An answer is never more than was asked for.
fn fits(request: &[u8], body: &[u8]) {
    let fixed = HEADER;
    let room = match code(request) {
        READ | READDIR | READDIRPLUS => word(request, fixed + 16),
        GETXATTR | LISTXATTR => word(request, fixed).max(8),
        IOCTL => word(request, fixed + 28).saturating_add(16),
        _ => return,
    };
    assert!(body.len() <= room as usize, "{} bytes where {room} fit", body.len());
}

fn is_answered(code: u32) -> bool {
    const FORGET: u32 = 2;
    const INTERRUPT: u32 = 36;
    const NOTIFY_REPLY: u32 = 41;
    const BATCH_FORGET: u32 = 42;
    !matches!(code, FORGET | INTERRUPT | NOTIFY_REPLY | BATCH_FORGET)
}

fn unique_of(message: &[u8]) -> Option<u64> {
    let unique = message.get(8..16)?.try_into().ok()?;
    Some(u64::from_ne_bytes(unique))
}

/// A number for the request after a message.
fn other_than(message: &[u8]) -> u64 {
    unique_of(message).unwrap_or_default() ^ 0x5555
}

const READ: u32 = 15;
const STATFS: u32 = 17;
const GETXATTR: u32 = 22;
const LISTXATTR: u32 = 23;
const READDIR: u32 = 28;
const IOCTL: u32 = 39;
const READDIRPLUS: u32 = 44;

/// How many panics there were, caught or not.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            report(info);
        }));
    });
}

/// A filesystem that answers at once, and by what it is asked now and then wrongly.
struct Small {
    wanted: InitFlags,
}

impl Filesystem for Small {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if let Err(refused) = config.add_capabilities(self.wanted) {
            let rest = self.wanted - refused;
            config.add_capabilities(rest).expect("what was not refused is accepted");
        }
        let bits = self.wanted.bits();
        // A small buffer, so that requests may be too long for it.
        let _ = config.set_max_write(4096 + (bits & 0xffff) as u32);
        let _ = config.set_max_readahead((bits >> 8) as u32);
        let _ = config.set_max_background((bits >> 16) as u16);
        let _ = config.set_max_stack_depth((bits & 3) as u32);
        let _ = config.set_request_timeout(Duration::from_millis(bits >> 32));
        let _ = config.set_time_granularity(Duration::from_nanos(bits >> 40));
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.len() % 3 {
            0 => reply.error(Errno::ENOENT),
            1 => reply.negative(&TTL),
            _ => reply.entry(&TTL, &attr(parent), Generation(0)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &attr(ino));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let time = |time| match time {
            Some(TimeOrNow::SpecificTime(time)) => time,
            Some(TimeOrNow::Now) => SystemTime::now(),
            None => UNIX_EPOCH,
        };
        // Whatever the kernel sets can be told it again.
        let attr = FileAttr {
            perm: mode.unwrap_or_default() as u16,
            uid: uid.unwrap_or_default(),
            gid: gid.unwrap_or_default(),
            size: size.unwrap_or_default(),
            atime: time(atime),
            mtime: time(mtime),
            ctime: ctime.unwrap_or(UNIX_EPOCH),
            ..attr(ino)
        };
        reply.attr(&Duration::MAX, &attr);
    }

    fn statx(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<FileHandle>,
        _: u32,
        _: StatxMask,
        reply: ReplyStatx,
    ) {
        reply.statx(&TTL, &StatxAttr { btime: Some(UNIX_EPOCH), ..attr(ino).into() });
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        reply.data(b"../target");
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.entry(&Duration::MAX, &attr(parent), Generation(u64::MAX));
    }

    /// Forgets to answer.
    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: ReplyEmpty) {}

    /// Answers from another thread.
    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        thread::spawn(move || reply.ok()).join().expect("an answer cannot panic");
    }

    fn symlink(
        &self,
        _: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        if link_name == target {
            return reply.error(Errno::ELOOP);
        }
        reply.entry(&TTL, &attr(parent), Generation(0));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(ino.0), FopenFlags::all());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // Now and then one byte more than there is room for.
        let size = size.min(4096) as usize + (offset % 2) as usize;
        reply.data(&vec![0; size]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.written(data.len() as u32);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(ino.0), FopenFlags::empty());
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        for (index, name) in NAMES.iter().enumerate() {
            let next = offset.wrapping_add(index as u64);
            if reply.add(ino, next, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        for (index, name) in NAMES.iter().enumerate() {
            let next = offset.wrapping_add(index as u64);
            if reply.add(ino, next, name, &TTL, &attr(ino), Generation(0)) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1, 2, 3, 4, 5, 6, 7, 8);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match name.len() % 2 {
            0 => reply.size(size.wrapping_mul(3)),
            _ => reply.data(b"a value"),
        }
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.data(b"user.one\0user.two\0");
    }

    fn access(&self, _: &Request, _: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        // An error from outside need not be one the kernel knows.
        reply.error(Errno::from_i32(mask.bits()));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        _: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.created(&TTL, &attr(parent), Generation(0), FileHandle(1), FopenFlags::empty());
    }

    fn getlk(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        reply.locked(start, end, typ, pid);
    }

    fn bmap(&self, _: &Request, _: INodeNo, _: u32, idx: u64, reply: ReplyBmap) {
        reply.bmap(idx);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        cmd: u32,
        in_data: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.ioctl(cmd as i32, in_data);
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        ph: PollNotifier,
        events: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        // The kernel's end takes notifications as they come.
        ph.notify().expect("the session is there");
        reply.poll(events);
    }

    fn lseek(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: i64,
        _: i32,
        reply: ReplyLseek,
    ) {
        reply.offset(offset);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.copied(len);
    }
}

fn attr(ino: INodeNo) -> FileAttr {
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

const TTL: Duration = Duration::from_secs(1);
/// Two of them no directory can have.
const NAMES: &[&str] = &[".", "..", "a file", "", "a/b", "another file of a longer name"];
