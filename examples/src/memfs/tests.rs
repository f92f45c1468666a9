//! The storage as a whole, without a kernel.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use async_fuser::{Errno, FileHandle, FileType, RenameFlags, TimeOrNow};

use super::attr::Changes;
use super::file::WriteMode;
use super::locks::{Family, Lock};
use super::perm::Caller;
use super::rename::Place;
use super::store::{Store, Waiter};
use super::tree::ROOT;
use super::{Limits, MemFs, Options};

/// Processes of these numbers do not exist, so they are in no further groups.
const ADMIN: Caller = Caller { uid: 0, gid: 0, pid: u32::MAX };
const USER: Caller = Caller { uid: 1000, gid: 100, pid: u32::MAX };

const PLAIN: RenameFlags = RenameFlags::empty();

fn store_with(limits: Limits) -> Store {
    Store::new(&Options { limits, ..Options::default() })
}

fn store() -> Store {
    store_with(Limits { bytes: 1 << 30, inodes: 1000, links: 1000 })
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn file(store: &Store, parent: u64, at: &str) -> u64 {
    store.mknod(&ADMIN, parent, name(at), libc::S_IFREG | 0o644, 0).unwrap().attr.ino.0
}

fn directory(store: &Store, parent: u64, at: &str) -> u64 {
    store.mkdir(&ADMIN, parent, name(at), 0o755).unwrap().attr.ino.0
}

fn find(store: &Store, parent: u64, at: &str) -> Option<u64> {
    match store.lookup(&ADMIN, parent, name(at)) {
        Ok(entry) => Some(entry.attr.ino.0),
        Err(Errno::ENOENT) => None,
        Err(error) => panic!("lookup of {at}: {error:?}"),
    }
}

fn rename(
    store: &Store,
    from: (u64, &str),
    to: (u64, &str),
    flags: RenameFlags,
) -> Result<(), Errno> {
    let from = Place { parent: from.0, name: name(from.1) };
    let to = Place { parent: to.0, name: name(to.1) };
    store.rename(&ADMIN, from, to, flags)
}

fn nlink(store: &Store, ino: u64) -> u32 {
    store.getattr(ino).unwrap().nlink
}

fn names(store: &Store, ino: u64) -> Vec<String> {
    let mut names = Vec::new();
    let add = |listed: &super::names::Listed<'_>| {
        names.push(listed.name.to_string_lossy().into_owned());
        false
    };
    store.readdir(ino, 0, false, add).unwrap();
    names
}

#[test]
fn a_rename_replaces_a_file_and_keeps_what_is_open() {
    let store = store();
    let (old, new) = (file(&store, ROOT, "old"), file(&store, ROOT, "new"));
    store.write(new, 0, b"replaced", WriteMode::default()).unwrap();
    rename(&store, (ROOT, "old"), (ROOT, "new"), PLAIN).unwrap();
    assert_eq!((find(&store, ROOT, "old"), find(&store, ROOT, "new")), (None, Some(old)));
    assert_eq!(nlink(&store, new), 0);
    store.read(new, 0, 100, 0, |bytes| assert_eq!(bytes, Ok(&b"replaced"[..])));
    store.forget(new, 1);
    assert_eq!(store.getattr(new).err(), Some(Errno::ESTALE));
}

#[test]
fn a_rename_refuses_what_does_not_fit() {
    let store = store();
    let outer = directory(&store, ROOT, "outer");
    let inner = directory(&store, outer, "inner");
    file(&store, ROOT, "file");
    let refused = |from, to, flags| rename(&store, from, to, flags).unwrap_err();
    assert_eq!(refused((ROOT, "none"), (ROOT, "x"), PLAIN), Errno::ENOENT);
    assert_eq!(refused((ROOT, "outer"), (inner, "x"), PLAIN), Errno::EINVAL);
    assert_eq!(refused((ROOT, "outer"), (outer, "x"), PLAIN), Errno::EINVAL);
    assert_eq!(refused((ROOT, "outer"), (ROOT, "file"), PLAIN), Errno::ENOTDIR);
    assert_eq!(refused((ROOT, "file"), (outer, "inner"), PLAIN), Errno::EISDIR);
    let empty = directory(&store, ROOT, "empty");
    assert_eq!(refused((ROOT, "empty"), (ROOT, "outer"), PLAIN), Errno::ENOTEMPTY);
    assert_eq!(
        refused((ROOT, "file"), (ROOT, "empty"), RenameFlags::RENAME_NOREPLACE),
        Errno::EEXIST
    );
    assert_eq!(
        refused((ROOT, "file"), (ROOT, "none"), RenameFlags::RENAME_EXCHANGE),
        Errno::ENOENT
    );
    assert_eq!(
        refused((ROOT, "outer"), (outer, "inner"), RenameFlags::RENAME_EXCHANGE),
        Errno::EINVAL
    );
    assert_eq!(
        refused((ROOT, "file"), (ROOT, "x"), RenameFlags::from_bits_retain(64)),
        Errno::EINVAL
    );
    let both = RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_NOREPLACE;
    assert_eq!(refused((ROOT, "file"), (ROOT, "empty"), both), Errno::EINVAL);
    assert_eq!(refused((ROOT, "file"), (empty, "."), PLAIN), Errno::EINVAL);
    assert_eq!(refused((ROOT, "file"), (empty, &"x".repeat(256)), PLAIN), Errno::ENAMETOOLONG);
    assert_eq!(names(&store, ROOT), [".", "..", "outer", "file", "empty"]);
}

#[test]
fn directories_count_their_subdirectories_wherever_those_go() {
    let store = store();
    let (a, b) = (directory(&store, ROOT, "a"), directory(&store, ROOT, "b"));
    let moved = directory(&store, a, "moved");
    assert_eq!((nlink(&store, ROOT), nlink(&store, a), nlink(&store, b)), (4, 3, 2));
    rename(&store, (a, "moved"), (b, "moved"), PLAIN).unwrap();
    assert_eq!((nlink(&store, a), nlink(&store, b)), (2, 3));
    assert_eq!(find(&store, moved, ".."), Some(b));
    let replaced = directory(&store, ROOT, "replaced");
    rename(&store, (b, "moved"), (ROOT, "replaced"), PLAIN).unwrap();
    assert_eq!((nlink(&store, ROOT), nlink(&store, b), nlink(&store, replaced)), (5, 2, 0));
    let deep = file(&store, a, "deep");
    rename(&store, (a, "deep"), (ROOT, "replaced"), RenameFlags::RENAME_EXCHANGE).unwrap();
    assert_eq!((nlink(&store, ROOT), nlink(&store, a)), (4, 3));
    assert_eq!(
        (find(&store, ROOT, "replaced"), find(&store, a, "deep")),
        (Some(deep), Some(moved))
    );
    assert_eq!(find(&store, moved, ".."), Some(a));
}

#[test]
fn a_whiteout_is_left_behind() {
    let store = store();
    let moved = file(&store, ROOT, "a");
    rename(&store, (ROOT, "a"), (ROOT, "b"), RenameFlags::RENAME_WHITEOUT).unwrap();
    assert_eq!(find(&store, ROOT, "b"), Some(moved));
    let left = store.lookup(&ADMIN, ROOT, name("a")).unwrap().attr;
    assert_eq!((left.kind, left.rdev, left.nlink), (FileType::CharDevice, 0, 1));
}

#[test]
fn two_names_of_one_inode_both_survive_a_rename() {
    let store = store();
    let ino = file(&store, ROOT, "a");
    store.link(&ADMIN, ino, ROOT, name("b")).unwrap();
    rename(&store, (ROOT, "a"), (ROOT, "b"), PLAIN).unwrap();
    assert_eq!((find(&store, ROOT, "a"), find(&store, ROOT, "b")), (Some(ino), Some(ino)));
    assert_eq!(nlink(&store, ino), 2);
}

#[test]
fn links_end_at_the_limit() {
    let store = store_with(Limits { bytes: 1 << 20, inodes: 100, links: 4 });
    let ino = file(&store, ROOT, "0");
    for n in 1..4 {
        store.link(&ADMIN, ino, ROOT, name(&n.to_string())).unwrap();
    }
    assert_eq!(store.link(&ADMIN, ino, ROOT, name("4")).err(), Some(Errno::EMLINK));
    let outer = directory(&store, ROOT, "d");
    directory(&store, outer, "1");
    directory(&store, outer, "2");
    assert_eq!(store.mkdir(&ADMIN, outer, name("3"), 0).err(), Some(Errno::EMLINK));
    directory(&store, ROOT, "e");
    assert_eq!(rename(&store, (ROOT, "e"), (outer, "3"), PLAIN), Err(Errno::EMLINK));
    assert_eq!(store.link(&ADMIN, outer, ROOT, name("x")).err(), Some(Errno::EPERM));
}

#[test]
fn a_removed_file_gives_everything_back_once_it_is_forgotten() {
    let store = store_with(Limits { bytes: 1 << 20, inodes: 2, links: 9 });
    let ino = file(&store, ROOT, "a");
    store.open(&ADMIN, ino, libc::O_RDWR).unwrap();
    store.write(ino, 0, &[1; 1 << 20], WriteMode::default()).unwrap();
    assert_eq!(store.setxattr(&ADMIN, ino, name("user.x"), b"1", 0), Err(Errno::ENOSPC));
    store.unlink(&ADMIN, ROOT, name("a")).unwrap();
    store.forget(ino, 1);
    assert_eq!(store.statfs().free, 0, "it is open still");
    assert_eq!(store.mkdir(&ADMIN, ROOT, name("b"), 0).err(), Some(Errno::ENOSPC));
    store.release(ino);
    assert_eq!((store.statfs().free, store.statfs().free_files), (256, 1));
    let next = store.mkdir(&ADMIN, ROOT, name("b"), 0).unwrap();
    assert_eq!((next.attr.ino.0, next.generation.0), (ino, 1));
    store.setxattr(&ADMIN, ino, name("user.x"), &[0; 4096], 0).unwrap();
    assert_eq!(store.statfs().free, 254);
    store.forget(ino, 1);
    store.rmdir(&ADMIN, ROOT, name("b")).unwrap();
    assert_eq!((store.statfs().free, store.statfs().free_files), (256, 1));
}

#[test]
fn nothing_is_made_in_a_removed_directory() {
    let store = store();
    let gone = directory(&store, ROOT, "gone");
    store.rmdir(&ADMIN, ROOT, name("gone")).unwrap();
    assert_eq!(store.mkdir(&ADMIN, gone, name("x"), 0).err(), Some(Errno::ENOENT));
    assert_eq!(store.tmpfile(&ADMIN, gone, 0, 0).err(), Some(Errno::ENOENT));
    assert_eq!(find(&store, gone, "x"), None);
}

#[test]
fn a_nameless_file_may_get_a_name_unless_it_was_made_exclusively() {
    let store = store();
    let (made, _) = store.tmpfile(&ADMIN, ROOT, 0o600, libc::O_RDWR).unwrap();
    assert_eq!(made.attr.nlink, 0);
    let linked = store.link(&ADMIN, made.attr.ino.0, ROOT, name("named")).unwrap();
    assert_eq!(linked.attr.nlink, 1);
    let (made, _) = store.tmpfile(&ADMIN, ROOT, 0o600, libc::O_RDWR | libc::O_EXCL).unwrap();
    assert_eq!(store.link(&ADMIN, made.attr.ino.0, ROOT, name("x")).err(), Some(Errno::ENOENT));
    store.unlink(&ADMIN, ROOT, name("named")).unwrap();
    assert_eq!(store.link(&ADMIN, linked.attr.ino.0, ROOT, name("x")).err(), Some(Errno::ENOENT));
}

#[test]
fn a_group_directory_hands_on_its_group() {
    let store = store();
    let outer = directory(&store, ROOT, "d");
    let changes = Changes { mode: Some(0o2777), gid: Some(55), ..Changes::default() };
    store.setattr(&ADMIN, outer, changes).unwrap();
    let made = store.create(&USER, outer, name("f"), 0o640, 0).unwrap().0.attr;
    assert_eq!((made.uid, made.gid, made.perm), (1000, 55, 0o640));
    let made = store.mkdir(&USER, outer, name("s"), 0o750).unwrap().attr;
    assert_eq!((made.gid, made.perm), (55, 0o2750));
}

#[test]
fn who_changes_a_program_takes_its_privileges() {
    let store = store();
    let ino = file(&store, ROOT, "program");
    let arm = || {
        let mode = Some(0o6755);
        store.setattr(&ADMIN, ino, Changes { mode, ..Changes::default() }).unwrap();
        store.setxattr(&ADMIN, ino, name("security.capability"), b"all", 0).unwrap();
    };
    let disarmed = || {
        let capable = store.getxattr(&ADMIN, ino, name("security.capability")).is_ok();
        (store.getattr(ino).unwrap().perm, capable)
    };
    arm();
    store.setattr(&ADMIN, ino, Changes { uid: Some(1), ..Changes::default() }).unwrap();
    assert_eq!(disarmed(), (0o755, false));
    arm();
    let kill = WriteMode { kill_privileges: true, ..WriteMode::default() };
    store.write(ino, 0, b"x", kill).unwrap();
    assert_eq!(disarmed(), (0o755, false));
    arm();
    let emptied = Changes { size: Some(0), kill_privileges: true, ..Changes::default() };
    store.setattr(&USER, ino, emptied).unwrap();
    assert_eq!(disarmed(), (0o755, false));
    arm();
    store.setattr(&ADMIN, ino, Changes { size: Some(9), ..Changes::default() }).unwrap();
    assert_eq!(disarmed(), (0o6755, false), "root may change its size and keep the bits");
}

#[test]
fn any_time_is_kept() {
    let store = store();
    let ino = file(&store, ROOT, "f");
    for time in [
        UNIX_EPOCH - Duration::new(1, 500_000_000),
        UNIX_EPOCH - Duration::from_secs(1 << 40),
        UNIX_EPOCH + Duration::new(1 << 40, 999_999_999),
    ] {
        let mtime = Some(TimeOrNow::SpecificTime(time));
        let attr = store.setattr(&ADMIN, ino, Changes { mtime, ..Changes::default() }).unwrap();
        assert_eq!(attr.mtime, time);
        assert!(attr.ctime.elapsed().unwrap() < Duration::from_secs(60));
    }
}

#[test]
fn permissions_are_checked_when_the_kernel_does_not() {
    let store = Store::new(&Options { check_permissions: true, ..Options::default() });
    let private = store.mkdir(&ADMIN, ROOT, name("private"), 0o700).unwrap().attr.ino.0;
    let secret = file(&store, private, "secret");
    assert_eq!(store.lookup(&USER, private, name("secret")).err(), Some(Errno::EACCES));
    assert_eq!(store.opendir(&USER, private).err(), Some(Errno::EACCES));
    assert_eq!(store.mkdir(&USER, ROOT, name("x"), 0).err(), Some(Errno::EACCES));
    assert_eq!(store.open(&USER, secret, libc::O_RDWR).err(), Some(Errno::EACCES));
    let handle = store.open(&USER, secret, libc::O_RDONLY).unwrap();
    assert!(
        !MemFs::through_writer(Some(FileHandle(handle))),
        "it must not be truncated through it"
    );
    let handle = store.open(&ADMIN, secret, libc::O_WRONLY).unwrap();
    assert!(MemFs::through_writer(Some(FileHandle(handle))));
    assert_eq!(store.access(&USER, secret, 2), Err(Errno::EACCES));
    let denied = |changes| store.setattr(&USER, secret, changes).unwrap_err();
    assert_eq!(denied(Changes { mode: Some(0o777), ..Changes::default() }), Errno::EPERM);
    assert_eq!(denied(Changes { uid: Some(1000), ..Changes::default() }), Errno::EPERM);
    assert_eq!(denied(Changes { size: Some(0), ..Changes::default() }), Errno::EACCES);
    let time = Some(TimeOrNow::SpecificTime(UNIX_EPOCH));
    assert_eq!(denied(Changes { mtime: time, ..Changes::default() }), Errno::EPERM);
    assert_eq!(
        denied(Changes { atime: Some(TimeOrNow::Now), ..Changes::default() }),
        Errno::EACCES
    );

    let shared = directory(&store, ROOT, "shared");
    store.setattr(&ADMIN, shared, Changes { mode: Some(0o1777), ..Changes::default() }).unwrap();
    file(&store, shared, "foreign");
    store.mkdir(&USER, shared, name("own"), 0o755).unwrap();
    let (own, foreign) = (name("own"), name("foreign"));
    let place = |name| Place { parent: shared, name };
    assert_eq!(store.unlink(&USER, shared, foreign), Err(Errno::EPERM));
    assert_eq!(store.rename(&USER, place(foreign), place(name("x")), PLAIN), Err(Errno::EPERM));
    store.rename(&USER, place(own), place(name("x")), PLAIN).unwrap();
    store.rmdir(&USER, shared, name("x")).unwrap();
}

#[test]
fn extended_attributes_have_their_namespaces_and_limits() {
    let store = store();
    let ino = file(&store, ROOT, "f");
    let set = |name: &str, value: &[u8], flags| {
        store.setxattr(&ADMIN, ino, OsStr::new(name), value, flags)
    };
    assert_eq!(set("user.a", b"1", libc::XATTR_REPLACE), Err(Errno::NO_XATTR));
    assert_eq!(set("user.a", b"1", libc::XATTR_CREATE), Ok(()));
    assert_eq!(set("user.a", b"1", libc::XATTR_CREATE), Err(Errno::EEXIST));
    assert_eq!(set("user.big", &[0; 65536], 0), Ok(()));
    assert_eq!(set("user.big", &[0; 65537], 0), Err(Errno::E2BIG));
    assert_eq!(set("trusted.t", b"", 0), Ok(()));
    for unknown in ["system.posix_acl_access", "other.a", "nodot", ""] {
        assert_eq!(set(unknown, b"", 0), Err(Errno::EOPNOTSUPP), "{unknown}");
    }
    assert_eq!(set("user.", b"", 0), Err(Errno::EINVAL));
    assert_eq!(store.listxattr(&ADMIN, ino).unwrap(), b"trusted.t\0user.a\0user.big\0");
    assert_eq!(store.listxattr(&USER, ino).unwrap(), b"user.a\0user.big\0");
    let link = store.symlink(&ADMIN, ROOT, name("l"), Path::new("f")).unwrap().attr.ino.0;
    assert_eq!(store.setxattr(&ADMIN, link, name("user.a"), b"", 0), Err(Errno::EPERM));
    for n in 0..255 {
        let full = set(&format!("user.{n:0>250}"), b"", 0);
        assert_eq!(full, Ok(()), "{n}");
    }
    assert_eq!(set(&format!("user.{:x>250}", ""), b"", 0), Err(Errno::ENOSPC));
}

#[test]
fn a_lock_is_granted_to_the_one_who_waited() {
    let store = store();
    let (sender, receiver) = mpsc::channel();
    let lock = |owner| Lock { owner, pid: 1, exclusive: true, start: 0, end: 9 };
    let ask = |owner| {
        let taken = store.set_lock(5, Family::Posix, libc::F_WRLCK, lock(owner));
        sender.send((owner, taken)).unwrap();
    };
    let wait = |owner, number| {
        let sender = sender.clone();
        let waiter = Waiter::new(move |result| sender.send((owner, result)).unwrap());
        store.lock(5, Family::Posix, lock(owner), number, waiter);
    };
    ask(1);
    wait(2, 22);
    ask(3);
    wait(4, 44);
    store.interrupt(44);
    store.flush(5, 1);
    let told: Vec<_> = receiver.try_iter().collect();
    assert_eq!(told, [(1, Ok(())), (3, Err(Errno::EAGAIN)), (4, Err(Errno::EINTR)), (2, Ok(()))]);
}

#[test]
fn a_wait_for_a_lock_that_is_dropped_takes_nothing_and_is_in_nobodys_way() {
    let store = store();
    let lock = |owner| Lock { owner, pid: 1, exclusive: true, start: 0, end: 9 };
    let holder = || store.conflicting_lock(5, &lock(0)).map(|held| held.owner);
    let wait = |owner| Box::pin(store.lock_when_free(5, Family::Posix, lock(owner), owner));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);

    store.set_lock(5, Family::Posix, libc::F_WRLCK, lock(1)).unwrap();
    let mut waits = [2, 3, 4].map(wait);
    assert!(waits.iter_mut().all(|wait| wait.as_mut().poll(&mut cx).is_pending()));
    let [second, third, mut fourth] = waits;
    drop(second);
    store.flush(5, 1);
    assert_eq!((woken.times(), holder()), (2, None), "told, and given nothing");
    // It was told that the lock is free, and goes without having taken it.
    drop(third);
    assert_eq!(holder(), None);
    assert_eq!(fourth.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    drop(fourth);
    assert_eq!(holder(), Some(4));
    store.flush(5, 4);
    assert_eq!((woken.times(), holder()), (2, None), "nobody is left in the queue");
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn absurd_numbers_are_errors() {
    let store = store();
    let ino = file(&store, ROOT, "f");
    let huge = u64::MAX;
    assert_eq!(store.write(ino, huge, b"x", WriteMode::default()), Err(Errno::EFBIG));
    assert_eq!(store.fallocate(ino, huge, huge, 0), Err(Errno::EFBIG));
    assert_eq!(store.fallocate(ino, 0, 1 << 62, 0), Err(Errno::ENOSPC));
    assert_eq!(store.fallocate(ino, 0, 1, -1), Err(Errno::EOPNOTSUPP));
    assert_eq!(store.lseek(ino, i64::MIN, libc::SEEK_DATA), Err(Errno::ENXIO));
    assert_eq!(store.lseek(ino, 0, 99), Err(Errno::EINVAL));
    assert_eq!(store.copy((ino, huge), (ino, 0), huge), Ok(0));
    store.read(ino, huge, u32::MAX, -1, |bytes| assert_eq!(bytes, Ok(&b""[..])));
    for ino in [0, 77, huge] {
        store.forget(ino, huge);
        assert_eq!(store.getattr(ino).err(), Some(Errno::ESTALE));
        assert_eq!(store.readdir(ino, huge, true, |_| false), Err(Errno::ESTALE));
        assert_eq!(store.unlink(&ADMIN, ino, name("x")), Err(Errno::ESTALE));
    }
    store.forget(ROOT, huge);
    assert!(store.getattr(ROOT).is_ok());
    assert_eq!(store.write(ROOT, 0, b"", WriteMode::default()), Err(Errno::EISDIR));
    assert_eq!(store.mkdir(&ADMIN, ino, name("x"), 0).err(), Some(Errno::ENOTDIR));
    assert_eq!(store.rmdir(&ADMIN, ROOT, name("f")), Err(Errno::ENOTDIR));
    assert_eq!(store.unlink(&ADMIN, ROOT, name("..")), Err(Errno::ENOENT));
}
