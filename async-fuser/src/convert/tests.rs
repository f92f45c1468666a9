use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, iter};

use async_fuser_macros::fuse_filesystem;
use bytes::Bytes;

use super::*;
use crate::answer::*;
use crate::async_filesystem::Result;
use crate::async_session::{AsyncNotifier, Cancellation};
use crate::op::{self, Opcode, Operation, Operations};
use crate::outcome::Reply;
use crate::serve::Serve;
use crate::types::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, INodeNo, LockOwner, OpenAccMode, OpenFlags,
    PollEvents, Request, StatxAttr, TimeOrNow,
};
use crate::wire::args::tests::Aligned;
use crate::wire::init::{InitRequest, KernelConfig, Negotiation, Surroundings, negotiate};
use crate::wire::{Args, Dialect};

/// Asks a filesystem one thing, of inode 5 for 1000:100 as pid 77.
fn ask<S: Serve, T>(
    filesystem: &S,
    opcode: Opcode,
    rest: &[&[u8]],
    then: impl FnOnce(Result<Reply<'_>>) -> T,
) -> T {
    let mut header = [0; 40];
    header[4..8].copy_from_slice(&opcode.0.to_ne_bytes());
    header[8..16].copy_from_slice(&9u64.to_ne_bytes());
    header[16..24].copy_from_slice(&5u64.to_ne_bytes());
    for (at, id) in [(24, 1000u32), (28, 100), (32, 77)] {
        header[at..at + 4].copy_from_slice(&id.to_ne_bytes());
    }
    let request = Aligned::new(&[&header, &rest.concat()]);
    let args = Args::contiguous(request.bytes(), Dialect::default()).unwrap();
    then(ready(filesystem.serve(Operation::decode(args).unwrap())))
}

/// What a future that does not wait comes to.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The bytes of a `Data`, or the error.
fn data(reply: Result<Reply<'_>>) -> Result<Vec<u8>> {
    match reply? {
        Reply::Data(mut data) => Ok(data.load(u32::MAX).unwrap().to_vec()),
        other => panic!("{other:?}"),
    }
}

/// The arguments of a READ, READDIR or READDIRPLUS.
fn read_in(offset: u64, size: u32) -> Vec<u8> {
    let mut fixed = vec![0; 40];
    fixed[..8].copy_from_slice(&3u64.to_ne_bytes());
    fixed[8..16].copy_from_slice(&offset.to_ne_bytes());
    fixed[16..20].copy_from_slice(&size.to_ne_bytes());
    fixed
}

fn read<S: Serve>(filesystem: &S, offset: u64, size: u32) -> Result<Vec<u8>> {
    ask(filesystem, Opcode::READ, &[&read_in(offset, size)], data)
}

pub(super) fn attr(ino: u64) -> FileAttr {
    FileAttr::new(INodeNo(ino), FileType::RegularFile, 0o644)
}

/// The names of a listing without attributes.
pub(super) fn names(listing: &[u8]) -> Vec<String> {
    entries(listing).into_iter().map(|(_, name)| name).collect()
}

/// Its offsets.
pub(super) fn offsets(listing: &[u8]) -> Vec<u64> {
    entries(listing).into_iter().map(|(offset, _)| offset).collect()
}

fn entries(mut listing: &[u8]) -> Vec<(u64, String)> {
    let mut entries = Vec::new();
    while !listing.is_empty() {
        let offset = u64::from_ne_bytes(listing[8..16].try_into().unwrap());
        let len = u32::from_ne_bytes(listing[16..20].try_into().unwrap()) as usize;
        let name = String::from_utf8(listing[24..24 + len].to_vec()).unwrap();
        entries.push((offset, name));
        listing = &listing[(24 + len).next_multiple_of(8)..];
    }
    entries
}

/// The operations as the macro knows them: method, struct, fields, and what converts the answer.
const KNOWN: &[(&str, &str, &[&str], &str)] = async_fuser_macros::__operations!();

#[test]
fn the_macro_knows_the_operations_of_the_table() {
    let mut table: Vec<(&str, &str, &[&str])> = Vec::new();
    macro_rules! rows {
        ($($op:ident [$($code:tt)*] $method:ident $(via $sync:ident)?
            ($($arg:tt)*) $(-> $answer:ident)?;)*) => { $(
            table.push((stringify!($method), stringify!($op), op::$op::FIELDS));
        )* };
    }
    op::for_each_operation_anywhere!(rows);
    for (of_macro, of_table) in iter::zip(KNOWN, &table) {
        assert_eq!((of_macro.0, of_macro.1), (of_table.0, of_table.1));
        let sorted = |fields: &[&str]| {
            let mut fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
            fields.sort();
            fields
        };
        assert_eq!(sorted(of_macro.2), sorted(of_table.2), "{}", of_table.0);
    }
    assert_eq!(KNOWN.len(), table.len());
}

#[test]
fn the_chapter_on_the_macro_has_every_operation_with_its_fields_and_answers() {
    let chapter = include_str!("../fuse_filesystem.md");
    let (_, table) = chapter.split_once("| operation | fields | accepted |\n").unwrap();
    let rows: Vec<_> = table.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    for (row, (method, _, fields, conversion)) in iter::zip(&rows, KNOWN) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        assert_eq!(cells[0], format!("`{method}`"));
        assert_eq!(cells[1], fields.join(", "), "{method}");
        let by = cells[2].split_once("`]: ").or_else(|| cells[2].split_once("`: ")).unwrap().0;
        let by = by.trim_start_matches(['[', '`']).to_lowercase();
        assert_eq!(by, format!("into{conversion}"), "{method}");
    }
    assert_eq!(rows.len(), KNOWN.len());
}

/// Returns everything in the plainest way there is.
#[derive(Default)]
struct Plain {
    forgotten: AtomicU64,
}

#[fuse_filesystem(crate = crate, entry_ttl = "2s", attr_ttl = "3s", negative_ttl = "4s")]
impl Plain {
    const TEXT: &str = "0123456789";

    fn lookup(&self, parent: u64, name: &str) -> Result<Option<FileAttr>> {
        assert_eq!(parent, 5);
        Ok((name == "here").then(|| attr(6)))
    }

    async fn forget(&self, ino: INodeNo, nlookup: u64) {
        self.forgotten.fetch_add(ino.0 * nlookup, Ordering::Relaxed);
    }

    async fn getattr(&self, ino: u64, fh: Option<u64>) -> io::Result<(FileAttr, Duration)> {
        assert_eq!(fh, Some(8));
        Ok((attr(ino), Duration::from_secs(9)))
    }

    fn readlink(&self) -> Result<&Path> {
        Ok(Path::new("there"))
    }

    fn mkdir(&self, name: PathBuf, mode: u16) -> Result<FileAttr> {
        assert_eq!((name, mode), (PathBuf::from("new"), 0o755));
        Ok(attr(7))
    }

    fn unlink(&self, name: String) -> Result<(), nix::errno::Errno> {
        if name == "busy" { Err(nix::errno::Errno::EBUSY) } else { Ok(()) }
    }

    fn open(&self, flags: OpenAccMode) -> Result<(u64, FopenFlags)> {
        assert_eq!(flags, OpenAccMode::O_RDWR);
        Ok((4, FopenFlags::FOPEN_DIRECT_IO))
    }

    async fn read(&self, _fh: FileHandle) -> Result<&str> {
        Ok(Self::TEXT)
    }

    fn write(&self, data: Vec<u8>) -> Result<usize> {
        Ok(data.len())
    }

    fn opendir(&self) -> Result<()> {
        Ok(())
    }

    async fn readdir(&self, ino: u64) -> Result<impl Iterator<Item = (u64, FileType, String)>> {
        Ok((0..3).map(move |n| (ino + n, FileType::RegularFile, format!("name-{n}"))))
    }

    fn statfs(&self) -> Result<nix::sys::statvfs::Statvfs, nix::errno::Errno> {
        nix::sys::statvfs::statvfs("/")
    }

    fn getxattr(&self, name: &OsStr) -> Result<Option<Vec<u8>>> {
        Ok((name == "user.there").then(|| b"value".to_vec()))
    }

    fn listxattr(&self) -> Result<[&str; 3]> {
        Ok(["user.one", "", "user.two"])
    }

    fn create(&self, flags: OpenFlags) -> Result<(FileAttr, FileHandle)> {
        assert_eq!(flags.0, libc::O_RDWR);
        Ok((attr(8), FileHandle(9)))
    }

    fn getlk(&self) -> Result<Option<Lock>> {
        Ok(None)
    }

    fn setlk(&self, lock_owner: u64, sleep: bool, caller: Caller) -> Result<()> {
        let expected = Caller { uid: 1000, gid: 100, pid: 77 };
        if (lock_owner, sleep, caller) == (2, true, expected) { Ok(()) } else { Err(Errno::EIO) }
    }

    fn ioctl(&self, cmd: u32, in_data: Bytes) -> Result<(i32, Bytes)> {
        Ok((cmd as i32, in_data))
    }

    fn poll(&self) -> Result<PollEvents> {
        Ok(PollEvents::POLLIN)
    }

    fn lseek(&self, offset: u64) -> Result<u64> {
        Ok(offset)
    }
}

#[test]
fn a_block_says_what_it_implements() {
    let set = <Plain as Serve>::OPERATIONS;
    assert!(set.contains("lookup") && set.contains("readdirplus") && set.contains("batch_forget"));
    assert!(!set.contains("rename") && !set.contains("init"));
    assert_eq!(set.names().count(), 20 + 2);
}

#[test]
fn entries_have_the_times_of_the_block() {
    let seconds = Duration::from_secs;
    let lookup = |name: &[u8]| {
        ask(&Plain::default(), Opcode::LOOKUP, &[name], |reply| match reply {
            Ok(Reply::Entry(entry)) => Ok(entry),
            Err(errno) => Err(errno),
            other => panic!("{other:?}"),
        })
    };
    let entry = Entry::new(attr(6), seconds(3)).with_entry_ttl(seconds(2));
    assert_eq!(lookup(b"here\0"), Ok(entry));
    assert_eq!(lookup(b"gone\0"), Ok(Entry::negative(seconds(4))));
    assert_eq!(lookup(b"\xff\0"), Err(Errno::EILSEQ));
}

#[test]
fn parameters_are_made_from_the_fields_of_their_names() {
    let plain = Plain::default();
    let mut getattr = vec![0; 16];
    getattr[0] = 1;
    getattr[8] = 8;
    ask(&plain, Opcode::GETATTR, &[&getattr], |reply| {
        let Ok(Reply::Attr(reply)) = reply else { panic!("{reply:?}") };
        assert_eq!(reply, Attr::new(attr(5), Duration::from_secs(9)));
    });
    let mkdir = [0o755u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat();
    ask(&plain, Opcode::MKDIR, &[&mkdir, b"new\0"], |reply| {
        assert!(matches!(reply, Ok(Reply::Entry(entry)) if entry.attr() == Some(&attr(7))));
    });
    let mkdir = [0o20_0755u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat();
    ask(&plain, Opcode::MKDIR, &[&mkdir, b"new\0"], |reply| {
        assert_eq!(reply.unwrap_err(), Errno::EOVERFLOW, "it does not fit 16 bits");
    });
    ask(&plain, Opcode::READLINK, &[], |reply| assert_eq!(data(reply).unwrap(), b"there"));
    ask(&plain, Opcode::UNLINK, &[b"busy\0"], |reply| {
        assert_eq!(reply.unwrap_err(), Errno::EBUSY);
    });
    ask(&plain, Opcode::UNLINK, &[b"free\0"], |reply| {
        assert!(matches!(reply, Ok(Reply::Empty(()))));
    });
    let mut forget = vec![0; 8];
    forget[0] = 3;
    ask(&plain, Opcode::FORGET, &[&forget], |reply| drop(reply.unwrap()));
    assert_eq!(plain.forgotten.load(Ordering::Relaxed), 15);
}

#[test]
fn answers_are_made_from_what_is_returned() {
    let plain = Plain::default();
    let flags = [(libc::O_RDWR as u32).to_ne_bytes(), [0; 4]].concat();
    ask(&plain, Opcode::OPEN, &[&flags], |reply| {
        let opened = Opened::new(FileHandle(4)).with_flags(FopenFlags::FOPEN_DIRECT_IO);
        assert!(matches!(reply, Ok(Reply::Opened(found)) if found == opened));
    });
    ask(&plain, Opcode::OPENDIR, &[&[0; 8]], |reply| {
        assert!(matches!(reply, Ok(Reply::Opened(found)) if found == Opened::new(FileHandle(0))));
    });
    let create = [&flags, &[0; 8][..]].concat();
    ask(&plain, Opcode::CREATE, &[&create, b"new\0"], |reply| {
        let Ok(Reply::Created(created)) = reply else { panic!("{reply:?}") };
        let opened = Opened::new(FileHandle(9));
        let expected = Created::new(attr(8), Duration::from_secs(3), opened);
        assert_eq!(created, expected.with_entry_ttl(Duration::from_secs(2)));
    });
    let mut write = vec![0; 40];
    write[16] = 3;
    ask(&plain, Opcode::WRITE, &[&write, b"abc"], |reply| {
        assert!(matches!(reply, Ok(Reply::Written(Written(3)))));
    });
    ask(&plain, Opcode::STATFS, &[], |reply| {
        let Ok(Reply::Statfs(statfs)) = reply else { panic!("{reply:?}") };
        assert!(statfs.blocks > 0 && statfs.namelen > 0);
    });
    ask(&plain, Opcode::GETLK, &[&[0; 48]], |reply| {
        let Ok(Reply::Lock(Lock { typ, .. })) = reply else { panic!("{reply:?}") };
        assert_eq!(i64::from(typ), i64::from(libc::F_UNLCK));
    });
    let mut setlk = vec![0; 48];
    setlk[8] = 2;
    ask(&plain, Opcode::SETLKW, &[&setlk], |reply| drop(reply.unwrap()));
    let mut ioctl = vec![0; 32];
    (ioctl[12], ioctl[24]) = (66, 2);
    ask(&plain, Opcode::IOCTL, &[&ioctl, b"in"], |reply| {
        let Ok(Reply::Ioctl(Ioctl { result: 66, data })) = reply else { panic!("{reply:?}") };
        assert_eq!(data.len(), 2);
    });
    ask(&plain, Opcode::POLL, &[&[0; 24]], |reply| {
        assert!(matches!(reply, Ok(Reply::Poll(crate::answer::Poll(PollEvents::POLLIN)))));
    });
    let lseek = |offset: i64| [&[0; 8][..], &offset.to_ne_bytes(), &[0; 8]].concat();
    ask(&plain, Opcode::LSEEK, &[&lseek(70)], |reply| {
        assert!(matches!(reply, Ok(Reply::Offset(Offset(70)))));
    });
    ask(&plain, Opcode::LSEEK, &[&lseek(-1)], |reply| {
        assert_eq!(reply.unwrap_err(), Errno::EOVERFLOW);
    });
}

#[test]
fn an_attribute_that_is_not_there_is_an_error_of_its_own() {
    let value = |name: &[u8]| {
        ask(&Plain::default(), Opcode::GETXATTR, &[&[0; 8], name], |reply| match reply {
            Ok(Reply::Xattr(Xattr(XattrKind::Value(mut value)))) => {
                Ok(value.load(u32::MAX).unwrap().to_vec())
            }
            Err(errno) => Err(errno),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(value(b"user.there\0").unwrap(), b"value");
    assert_eq!(value(b"user.gone\0"), Err(Errno::NO_XATTR));
}

#[test]
fn names_of_attributes_end_with_a_zero_each() {
    fn packed<'a>(names: impl IntoNames<'a>) -> Vec<u8> {
        let Xattr(XattrKind::Value(mut value)) = names.into_names().unwrap() else {
            panic!("a size")
        };
        value.load(u32::MAX).unwrap().to_vec()
    }
    ask(&Plain::default(), Opcode::LISTXATTR, &[&[0; 8]], |reply| {
        let Ok(Reply::Xattr(names)) = reply else { panic!("{reply:?}") };
        assert_eq!(packed(names), b"user.one\0user.two\0");
    });
    assert_eq!(packed(vec!["a".to_owned(), "b\0c".to_owned()]), b"a\0");
    assert_eq!(packed(vec![OsString::from("a")]), b"a\0");
    assert_eq!(packed(b"a\0b\0".to_vec()), b"a\0b\0", "that was packed before");
    assert_eq!(packed(Bytes::from_static(b"a\0b\0")), b"a\0b\0");
    assert_eq!(packed(Vec::<String>::new()), b"");
}

#[test]
fn who_returns_a_whole_file_is_asked_for_a_part() {
    let plain = Plain::default();
    assert_eq!(read(&plain, 0, 100).unwrap(), b"0123456789");
    assert_eq!(read(&plain, 2, 3).unwrap(), b"234");
    assert_eq!(read(&plain, 8, 3).unwrap(), b"89");
    assert_eq!(read(&plain, 10, 3).unwrap(), b"");
    assert_eq!(read(&plain, i64::MAX as u64, u32::MAX).unwrap(), b"");
}

#[test]
fn a_part_is_the_same_of_every_kind_of_data() {
    let file = || {
        let path = std::env::temp_dir().join(format!("part-{}", std::process::id()));
        std::fs::write(&path, "..0123456789..").unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (file, 2..12)
    };
    let text = "0123456789";
    type Make = fn(&'static str, (File, Range<u64>)) -> Data<'static>;
    let all: [Make; 7] = [
        |text, _| Data::from(text),
        |text, _| Data::from(text.to_owned()),
        |text, _| Data::from(Bytes::from_static(text.as_bytes())),
        |text, _| Data::from(Arc::<[u8]>::from(text.as_bytes())),
        |text, _| Data::from(Box::<[u8]>::from(text.as_bytes())),
        |text, _| {
            let mut buffer = ReadBuffer::with_room(20);
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            buffer.filled(text.len())
        },
        |_, file| file.into_data().unwrap(),
    ];
    for make in all {
        for (offset, size, part) in
            [(0, 3, "012"), (7, 9, "789"), (10, 1, ""), (u64::MAX, 1, ""), (0, u32::MAX, text)]
        {
            let mut data = make(text, file()).part(offset, size);
            let bytes = data.load(u32::MAX).unwrap().to_vec();
            assert_eq!(bytes, part.as_bytes(), "{offset}, {size}");
        }
    }
}

/// Fills what it is given, and is called again and again.
struct Filling {
    claims: usize,
    calls: Mutex<Vec<&'static str>>,
}

#[fuse_filesystem(crate = crate)]
impl Filling {
    async fn init(&mut self, req: &Request, config: &mut KernelConfig) -> Result<()> {
        assert_eq!(req.uid(), 0);
        let _ = config;
        self.calls.lock().unwrap().push("init");
        if self.claims == 0 { Err(Errno::EPERM) } else { Ok(()) }
    }

    fn destroy(&mut self) {
        self.calls.lock().unwrap().push("destroy");
    }

    async fn read(&self, size: usize, buf: &mut [u8]) -> Result<usize> {
        assert_eq!(buf.len(), size);
        buf.fill(b'x');
        Ok(self.claims)
    }

    async fn readdir(&self, offset: u64, listing: &mut Listing) -> Result<()> {
        for at in offset..3 {
            if listing.add(INodeNo(at + 2), at + 1, FileType::RegularFile, format!("n{at}")) {
                break;
            }
        }
        Ok(())
    }

    #[fuse(op = "fsync")]
    fn make_durable(
        &self,
        #[fuse(field = datasync)] _only_data: bool,
        req: &Request,
        who: Caller,
        stop: Cancellation,
        _notifier: AsyncNotifier,
    ) -> io::Result<()> {
        assert_eq!((who.uid, who.pid), (req.uid(), req.pid()));
        assert!(!stop.is_cancelled());
        Ok(())
    }

    fn readlink(&self, op: op::Readlink<'_>) -> Result<String> {
        Ok(format!("inode {}", op.ino))
    }

    #[fuse(skip)]
    fn helper(&self) -> usize {
        self.claims
    }
}

fn filling(claims: usize) -> Filling {
    Filling { claims, calls: Mutex::default() }
}

#[test]
fn a_read_fills_the_buffer_of_the_engine() {
    assert_eq!(read(&filling(3), 0, 10).unwrap(), b"xxx");
    assert_eq!(read(&filling(10), 0, 10).unwrap(), b"xxxxxxxxxx");
    assert_eq!(read(&filling(0), 0, 10).unwrap(), b"");
    assert_eq!(read(&filling(11), 0, 10), Err(Errno::EIO), "more than there is room for");
}

#[test]
fn who_fills_a_listing_keeps_its_own_offsets() {
    let list = |offset, size| {
        let readdir = read_in(offset, size);
        ask(&filling(0), Opcode::READDIR, &[&readdir], |reply| match reply {
            Ok(Reply::Listing(listing)) => entries(listing.as_bytes()),
            other => panic!("{other:?}"),
        })
    };
    let all = [(1, "n0".to_owned()), (2, "n1".to_owned()), (3, "n2".to_owned())];
    assert_eq!(list(0, 4096), all);
    assert_eq!(list(0, 40), all[..1]);
    assert_eq!(list(1, 4096), all[1..]);
    assert_eq!(list(3, 4096), []);
    assert!(!<Filling as Serve>::OPERATIONS.contains("readdirplus"));
}

#[test]
fn methods_have_other_names_and_helpers_are_left_alone() {
    ask(&filling(0), Opcode::FSYNC, &[&[0; 16]], |reply| drop(reply.unwrap()));
    ask(&filling(0), Opcode::READLINK, &[], |reply| assert_eq!(data(reply).unwrap(), b"inode 5"));
    let set = Operations::of(&["read", "readdir", "fsync", "readlink"]);
    assert_eq!(<Filling as Serve>::OPERATIONS, set);
    assert_eq!(filling(7).helper(), 7);
}

#[test]
fn one_readdir_serves_both_kinds_of_listing() {
    let plain = Plain::default();
    let listed = ask(&plain, Opcode::READDIR, &[&read_in(0, 4096)], |reply| match reply {
        Ok(Reply::Listing(listing)) => entries(listing.as_bytes()),
        other => panic!("{other:?}"),
    });
    let mut names: Vec<_> = listed.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["name-0", "name-1", "name-2"]);
    ask(&plain, Opcode::READDIRPLUS, &[&read_in(listed[0].0, 4096)], |reply| {
        let Ok(Reply::ListingPlus(plus)) = reply else { panic!("{reply:?}") };
        let bytes = plus.as_bytes();
        assert_eq!(bytes.len(), 2 * (128 + 32));
        assert_eq!(names_of_plus(bytes), [listed[1].1.as_str(), listed[2].1.as_str()]);
    });
}

fn names_of_plus(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(160).flat_map(|entry| self::names(&entry[128..])).collect()
}

/// What the kernel of ABI 7.31 begins with.
fn config() -> KernelConfig {
    let init = Aligned::new(&[&7u32.to_ne_bytes(), &31u32.to_ne_bytes(), &[0; 8]]);
    let surroundings = Surroundings {
        page_size: 4096,
        max_pages: 256,
        default_permissions: false,
        acl_all: false,
    };
    match negotiate(&InitRequest::decode(init.bytes()).unwrap(), &surroundings) {
        Negotiation::Begin(config) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_begins_and_ends_with_the_two_methods() {
    let begin = |filesystem: &mut Filling| {
        let header = Aligned::new(&[&[0; 40]]);
        let (req, _) = Request::split(header.bytes()).unwrap();
        let mut config = config();
        ready(Serve::init(filesystem, req, &mut config))
    };
    let mut filesystem = filling(1);
    begin(&mut filesystem).unwrap();
    ready(Serve::destroy(&mut filesystem));
    assert_eq!(*filesystem.calls.lock().unwrap(), ["init", "destroy"]);
    let error = begin(&mut filling(0)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
}

#[test]
fn fields_become_what_can_hold_them() {
    fn made<F, T: FromField<F>>(field: F) -> Result<T> {
        T::from_field(field)
    }
    assert_eq!(made::<_, u64>(INodeNo(3)), Ok(3));
    assert_eq!(made::<_, INodeNo>(INodeNo(3)), Ok(INodeNo(3)));
    assert_eq!(made::<_, Option<u64>>(Some(LockOwner(3))), Ok(Some(3)));
    assert_eq!(made::<_, Option<u64>>(None::<LockOwner>), Ok(None));
    assert_eq!(made::<_, u16>(0x1_0000u32), Err(Errno::EOVERFLOW));
    assert_eq!(made::<_, i64>(u64::MAX), Err(Errno::EOVERFLOW));
    assert_eq!(made::<_, u64>(-1i64), Err(Errno::EOVERFLOW));
    assert_eq!(made::<_, Option<u32>>(Some(1u64 << 32)), Err(Errno::EOVERFLOW));
    assert_eq!(made::<_, &[u8]>(OsStr::new("n")), Ok(&b"n"[..]));
    assert_eq!(made::<_, Vec<u8>>(OsStr::new("n")), Ok(b"n".to_vec()));
    assert_eq!(made::<_, OsString>(Path::new("a/b")), Ok("a/b".into()));
    assert_eq!(made::<_, Arc<[u8]>>(&b"ab"[..]), Ok(b"ab"[..].into()));
    assert_eq!(made::<_, &str>(&b"ab"[..]), Ok("ab"));
    assert_eq!(made::<_, String>(&b"\xff"[..]), Err(Errno::EILSEQ));
    let later = UNIX_EPOCH + Duration::from_secs(5);
    let time = TimeOrNow::SpecificTime(later);
    assert_eq!(made::<_, SystemTime>(time), Ok(later));
    assert_eq!(made::<_, Option<Duration>>(Some(time)), Ok(Some(Duration::from_secs(5))));
    let before = UNIX_EPOCH - Duration::from_secs(5);
    assert_eq!(made::<_, Duration>(before), Err(Errno::EINVAL));
    assert!(made::<_, SystemTime>(TimeOrNow::Now).unwrap() > later);
}

#[test]
fn files_and_their_attributes_become_answers() {
    let ttl = Ttl::DEFAULT.all(Duration::from_secs(7)).attr(Duration::from_secs(8));
    let statx = Statx::new(attr(1), Duration::from_secs(8));
    assert_eq!(attr(1).into_statx(&ttl), Ok(statx));
    assert_eq!(StatxAttr::from(attr(1)).into_statx(&ttl), Ok(statx));
    let created = Created::new(attr(1), Duration::from_secs(2), Opened::new(FileHandle(3)));
    assert_eq!((attr(1), Duration::from_secs(2), 3u64).into_created(&ttl), Ok(created));
    let direct = Opened::new(FileHandle(3)).with_flags(FopenFlags::FOPEN_DIRECT_IO);
    let created = Created::new(attr(1), ttl.attr, direct).with_entry_ttl(ttl.entry);
    let returned = (attr(1), FileHandle(3), FopenFlags::FOPEN_DIRECT_IO);
    assert_eq!(returned.into_created(&ttl), Ok(created));

    let null = File::open("/dev/null").unwrap();
    let shared = Arc::new(OwnedFd::from(null.try_clone().unwrap()));
    let borrowed: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(&null);
    assert_eq!((borrowed, 0..5).into_data().unwrap().len(), 5);
    assert_eq!((Arc::clone(&shared), 0..5).into_data().unwrap().len(), 5);
    assert_eq!((null, 0..5).into_data().unwrap().len(), 5);
}
