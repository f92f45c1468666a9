//! The filesystem under both crates: it keeps everything in memory, and records every call with
//! its arguments and its answer. Included once for each crate, whose `fuser` is the one above.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::{Debug, Write};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fuser::{
    AccessFlags, BackgroundSession, BackingId, BsdFileFlags, Config, CopyFileRangeFlags, Errno,
    FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, MountOption, OpenFlags, PollEvents, PollFlags, PollHandle,
    PollNotifier, RenameFlags, ReplyAttr, ReplyBmap, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen,
    ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request, Session, SessionACL, TimeOrNow,
    WriteFlags, mount, spawn_mount,
};
use super::state::{Answer, GENERATION, Lock, brief, ioctl, owner, time, time_or_now};
use super::{NAME, experimental, program_018};
use crate::common::{Acl, Kind, Life, Mounted, Note, Side, Spec, Trace, digest, outcome};

pub(crate) const SIDE: Side = Side {
    name: NAME,
    mount: mounted,
    from_fd,
    kernel_config,
    refused_options,
    values,
    formats,
    lifecycle,
    init_answer,
    create_raw,
    program: program_018::run,
    experimental: experimental::spawn,
};

type State = super::state::State<ReplyEmpty, PollNotifier>;

struct Recorder {
    spec: Spec,
    trace: Arc<Trace>,
    state: Mutex<State>,
    backing: Mutex<BTreeMap<u64, BackingId>>,
}

impl Recorder {
    fn new(spec: &Spec) -> Self {
        Self {
            spec: spec.clone(),
            trace: Arc::default(),
            state: Mutex::new(State::new(!spec.stopped_clock)),
            backing: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backing(&self) -> MutexGuard<'_, BTreeMap<u64, BackingId>> {
        self.backing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line for a call.
    fn record(&self, req: &Request, call: impl AsRef<str>, answer: &Answer<String>) {
        // Threads have numbers of their own.
        let pid = match req.pid() {
            0 => "nobody",
            pid if Path::new(&format!("/proc/self/task/{pid}")).exists() => "us",
            // Somebody on this machine looks into every mount.
            _ => return,
        };
        let answer = match answer {
            Ok(answer) => answer.clone(),
            Err(errno) => format!("errno {}", errno.code()),
        };
        let who = format!("{}:{} {pid}", req.uid(), req.gid());
        self.trace.push(format!("[{who}] {} -> {answer}", call.as_ref()));
    }

    fn entry(&self, req: &Request, call: String, answer: Answer<FileAttr>, reply: ReplyEntry) {
        self.record(req, call, &answer.map(|attr| brief(&attr)));
        match answer {
            Ok(attr) => {
                self.trace.remember();
                if self.spec.entry_ttl == self.spec.attr_ttl {
                    reply.entry(&self.spec.entry_ttl, &attr, GENERATION);
                } else {
                    // fuser takes the attributes' time first.
                    let (first, second) = (&self.spec.attr_ttl, &self.spec.entry_ttl);
                    reply.entry_with_ttls(first, second, &attr, GENERATION);
                }
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn attr(&self, req: &Request, call: String, answer: Answer<FileAttr>, reply: ReplyAttr) {
        self.record(req, call, &answer.map(|attr| brief(&attr)));
        match answer {
            Ok(attr) => reply.attr(&self.spec.attr_ttl, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn empty(&self, req: &Request, call: String, answer: Answer<()>, reply: ReplyEmpty) {
        self.record(req, call, &answer.map(|()| "ok".to_owned()));
        match answer {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn written(&self, req: &Request, call: String, answer: Answer<u32>, reply: ReplyWrite) {
        self.record(req, call, &answer.map(|size| size.to_string()));
        match answer {
            Ok(size) => reply.written(size),
            Err(errno) => reply.error(errno),
        }
    }

    fn xattr(
        &self,
        req: &Request,
        call: String,
        size: u32,
        answer: Answer<Vec<u8>>,
        reply: ReplyXattr,
    ) {
        match answer {
            Ok(value) if size == 0 => {
                self.record(req, call, &Ok(format!("size {}", value.len())));
                reply.size(value.len() as u32);
            }
            Ok(value) if value.len() > size as usize => {
                self.record(req, call, &Err(Errno::ERANGE));
                reply.error(Errno::ERANGE);
            }
            Ok(value) => {
                self.record(req, call, &Ok(digest(&value)));
                reply.data(&value);
            }
            Err(errno) => {
                self.record(req, call, &Err(errno));
                reply.error(errno);
            }
        }
    }

    fn opens(&self, req: &Request, call: String, flags: u32, reply: ReplyOpen) {
        if self.spec.no_open {
            self.record(req, call, &Err(Errno::ENOSYS));
            return reply.error(Errno::ENOSYS);
        }
        let fh = self.state().handle();
        self.record(req, call, &Ok(format!("fh {} flags {flags:#x}", fh.0)));
        reply.opened(fh, FopenFlags::from_bits_retain(flags));
    }
}

fn configure(spec: &Spec, config: &mut KernelConfig) {
    for name in spec.capabilities {
        let flag = InitFlags::from_name(name).expect("a name of a capability");
        config.add_capabilities(flag).expect("a capability that the kernel offers");
    }
    if let Some(value) = spec.max_write {
        config.set_max_write(value).expect("max_write");
    }
    if let Some(value) = spec.max_readahead {
        config.set_max_readahead(value).expect("max_readahead");
    }
    if let Some(value) = spec.max_background {
        config.set_max_background(value).expect("max_background");
    }
    if let Some(value) = spec.congestion_threshold {
        config.set_congestion_threshold(value).expect("congestion_threshold");
    }
    if let Some(value) = spec.time_granularity {
        config.set_time_granularity(value).expect("time_granularity");
    }
    if let Some(value) = spec.max_stack_depth {
        config.set_max_stack_depth(value).expect("max_stack_depth");
    }
}

#[allow(clippy::too_many_arguments)]
impl Filesystem for Recorder {
    fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        configure(&self.spec, config);
        self.trace.push(format!("init by {}:{}", req.uid(), req.gid()));
        Ok(())
    }

    fn destroy(&mut self) {
        self.trace.push("destroy".to_owned());
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let answer = self.state().find(parent, name);
        self.entry(req, format!("lookup {parent} {name:?}"), answer, reply);
    }

    fn forget(&self, _: &Request, _: INodeNo, nlookup: u64) {
        self.trace.forget(nlookup);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let answer = self.state().get(ino).map(|node| node.attr);
        self.attr(req, format!("getattr {ino} {fh:?}"), answer, reply);
    }

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
        let mut call = format!("setattr {ino} {fh:?} mode {mode:?} {uid:?}:{gid:?} size {size:?}");
        let _ = write!(
            call,
            " atime {:?} mtime {:?} ctime {:?} {crtime:?} {chgtime:?} {bkuptime:?} {flags:?}",
            atime.map(time_or_now),
            mtime.map(time_or_now),
            ctime.map(time)
        );
        let answer = self.state().setattr(ino, mode, uid, gid, size, atime, mtime, ctime);
        self.attr(req, call, answer, reply);
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.state().readlink(ino);
        let shown = target.as_ref().map(|target| format!("{target:?}")).map_err(|errno| *errno);
        self.record(req, format!("readlink {ino}"), &shown);
        match target {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

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
        let owner = (req.uid(), req.gid());
        let answer = self.state().mknod(parent, name, mode, rdev, owner);
        let call = format!("mknod {parent} {name:?} {mode:o} umask {umask:o} {rdev:#x}");
        self.entry(req, call, answer, reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let answer = self.state().mkdir(parent, name, mode, (req.uid(), req.gid()));
        let call = format!("mkdir {parent} {name:?} {mode:o} umask {umask:o}");
        self.entry(req, call, answer, reply);
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.state().remove(parent, name, false);
        self.empty(req, format!("unlink {parent} {name:?}"), answer, reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.state().remove(parent, name, true);
        self.empty(req, format!("rmdir {parent} {name:?}"), answer, reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let owner = (req.uid(), req.gid());
        let answer = self.state().symlink(parent, link_name, target, owner);
        self.entry(req, format!("symlink {parent} {link_name:?} {target:?}"), answer, reply);
    }

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
        let answer = self.state().rename((parent, name), (newparent, newname), flags);
        let bits = flags.bits();
        let call = format!("rename {parent} {name:?} {newparent} {newname:?} {bits:#x}");
        self.empty(req, call, answer, reply);
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let answer = self.state().link(ino, newparent, newname);
        self.entry(req, format!("link {ino} {newparent} {newname:?}"), answer, reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let call = format!("open {ino} {:#o} {:?}", flags.0, flags.acc_mode());
        if let Some(path) = &self.spec.backing {
            let file = File::options().read(true).write(true).open(path).expect("a backing file");
            let fh = self.state().handle();
            let mut backing = self.backing();
            let id = match backing.remove(&ino.0) {
                Some(id) => Ok(id),
                None => reply.open_backing(&file),
            };
            self.record(
                req,
                call,
                &Ok(format!("passes through: {}", outcome(&id.as_ref().map(|_| ()).map_err(copy)))),
            );
            return match id {
                Ok(id) => {
                    let raw = id.into_raw();
                    // SAFETY: the number is this connection's, and was just given up.
                    let id = unsafe { reply.wrap_backing(raw) };
                    reply.opened_passthrough(fh, FopenFlags::empty(), &id);
                    backing.insert(ino.0, id);
                }
                Err(error) => reply.error(error.into()),
            };
        }
        if flags.0 & libc::O_TRUNC != 0 {
            // Only with FUSE_ATOMIC_O_TRUNC.
            let _ = self.state().resize(ino, 0);
        }
        self.opens(req, call, self.spec.fopen, reply);
    }

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
        let answer = self.state().slice(ino, offset, size.into());
        let shown = answer.as_ref().map(|data| digest(data)).map_err(|errno| *errno);
        let flags = flags.0;
        let owner = owner(lock_owner);
        self.record(req, format!("read {ino} {fh} {offset}+{size} {flags:#o} {owner}"), &shown);
        match answer {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(errno),
        }
    }

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
        let answer = self.state().write(ino, offset, data);
        let call = format!(
            "write {ino} {fh} {offset} {} flags {:#x} {:#o} {}",
            digest(data),
            write_flags.bits(),
            flags.0,
            owner(lock_owner)
        );
        self.written(req, call, answer, reply);
        let mut rung = Vec::new();
        self.state().polls.retain(|(of, notifier)| {
            let rings = *of == ino;
            rung.extend(rings.then(|| notifier.clone()));
            !rings
        });
        for notifier in rung {
            let handle = notifier.handle();
            let result = outcome(&notifier.notify());
            self.trace.push(format!("notify {handle:?} -> {result}"));
        }
    }

    fn flush(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let unblocked = self.state().unlock_all(ino, lock_owner);
        self.empty(req, format!("flush {ino} {fh} {}", lock_owner.0 != 0), Ok(()), reply);
        unblocked.into_iter().for_each(ReplyEmpty::ok);
    }

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
        let unblocked =
            lock_owner.map(|owner| self.state().unlock_all(ino, owner)).unwrap_or_default();
        let (flags, owner) = (flags.0, owner(lock_owner));
        let call = format!("release {ino} {fh} {flags:#o} {owner} flush {flush}");
        self.empty(req, call, Ok(()), reply);
        unblocked.into_iter().for_each(ReplyEmpty::ok);
    }

    fn fsync(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.empty(req, format!("fsync {ino} {fh} {datasync}"), Ok(()), reply);
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.opens(req, format!("opendir {ino} {:#o}", flags.0), self.spec.dopen, reply);
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = self.state().listing(ino);
        let call = format!("readdir {ino} {fh} {offset}");
        let Ok(entries) = entries else {
            self.record(req, call, &Err(Errno::ENOTDIR));
            return reply.error(Errno::ENOTDIR);
        };
        let mut sent = Vec::new();
        for (cookie, name, attr) in entries.into_iter().filter(|(cookie, ..)| *cookie > offset) {
            if reply.add(attr.ino, cookie, attr.kind, &name) {
                sent.push("full".to_owned());
                break;
            }
            sent.push(format!("{cookie}:{name:?}"));
        }
        self.record(req, call, &Ok(sent.join(" ")));
        reply.ok();
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let entries = self.state().listing(ino);
        let call = format!("readdirplus {ino} {fh} {offset}");
        let Ok(entries) = entries else {
            self.record(req, call, &Err(Errno::ENOTDIR));
            return reply.error(Errno::ENOTDIR);
        };
        let mut sent = Vec::new();
        for (cookie, name, attr) in entries.into_iter().filter(|(cookie, ..)| *cookie > offset) {
            if reply.add(attr.ino, cookie, &name, &self.spec.attr_ttl, &attr, GENERATION) {
                sent.push("full".to_owned());
                break;
            }
            if name != "." && name != ".." {
                self.trace.remember();
            }
            sent.push(format!("{cookie}:{name:?}={}", brief(&attr)));
        }
        self.record(req, call, &Ok(sent.join(" ")));
        reply.ok();
    }

    fn releasedir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.empty(req, format!("releasedir {ino} {fh} {:#o}", flags.0), Ok(()), reply);
    }

    fn fsyncdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.empty(req, format!("fsyncdir {ino} {fh} {datasync}"), Ok(()), reply);
    }

    fn statfs(&self, req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        self.record(req, format!("statfs {ino}"), &Ok("some".to_owned()));
        reply.statfs(1_000_001, 500_002, 400_003, 70_004, 60_005, 8192, 200, 4096);
    }

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
        let answer = self.state().setxattr(ino, name, value, flags);
        let value = digest(value);
        let call = format!("setxattr {ino} {name:?} {value} flags {flags} at {position}");
        self.empty(req, call, answer, reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let answer = self.state().getxattr(ino, name);
        self.xattr(req, format!("getxattr {ino} {name:?} {size}"), size, answer, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let answer = self.state().listxattr(ino);
        self.xattr(req, format!("listxattr {ino} {size}"), size, answer, reply);
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.state().removexattr(ino, name);
        self.empty(req, format!("removexattr {ino} {name:?}"), answer, reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let answer = self.state().access(ino, mask);
        self.empty(req, format!("access {ino} {:#x}", mask.bits()), answer, reply);
    }

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
        let call = format!("create {parent} {name:?} {mode:o} umask {umask:o} {flags:#o}");
        let mut state = self.state();
        let owner = (req.uid(), req.gid());
        let answer = state.create(parent, name, mode, flags, owner);
        let fh = state.handle();
        let shown = answer.map(|attr| format!("fh {} {}", fh.0, brief(&attr)));
        self.record(req, call, &shown);
        let ttl = &self.spec.attr_ttl;
        let attr = match answer {
            Ok(attr) => attr,
            Err(errno) => return reply.error(errno),
        };
        self.trace.remember();
        let Some(path) = &self.spec.backing else {
            let flags = FopenFlags::from_bits_retain(self.spec.fopen);
            return reply.created(ttl, &attr, GENERATION, fh, flags);
        };
        let file = File::options().read(true).write(true).open(path).expect("a backing file");
        match reply.open_backing(&file) {
            Ok(id) => {
                let flags = FopenFlags::empty();
                reply.created_passthrough(ttl, &attr, GENERATION, fh, flags, &id);
                self.backing().insert(attr.ino.0, id);
            }
            Err(error) => reply.error(error.into()),
        }
    }

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
        let wanted = Lock { ino: ino.0, owner: lock_owner, start, end, typ, pid };
        let found = self.state().obstacle(&wanted);
        let us = pid == std::process::id();
        let shown = found.map(|lock| (lock.start, lock.end, lock.typ));
        let call = format!("getlk {ino} {fh} {start}..{end} {typ} us {us}");
        self.record(req, call, &Ok(format!("{shown:?}")));
        match found {
            Some(lock) => reply.locked(lock.start, lock.end, lock.typ, lock.pid),
            None => reply.locked(0, 0, libc::F_UNLCK, 0),
        }
    }

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
        let us = if pid == 0 { "none" } else { "some" };
        let call = format!("setlk {ino} {fh} {start}..{end} {typ} pid {us} sleep {sleep}");
        let wanted = Lock { ino: ino.0, owner: lock_owner, start, end, typ, pid };
        let mut state = self.state();
        if typ != libc::F_UNLCK && state.obstacle(&wanted).is_some() {
            if sleep {
                self.record(req, call, &Ok("later".to_owned()));
                state.waiting.push((wanted, reply));
                return;
            }
            return self.empty(req, call, Err(Errno::EAGAIN), reply);
        }
        state.lock(wanted);
        let unblocked = state.unblocked();
        drop(state);
        self.empty(req, call, Ok(()), reply);
        unblocked.into_iter().for_each(ReplyEmpty::ok);
    }

    fn bmap(&self, req: &Request, ino: INodeNo, blocksize: u32, idx: u64, reply: ReplyBmap) {
        self.record(req, format!("bmap {ino} {blocksize} {idx}"), &Ok((idx + 10).to_string()));
        reply.bmap(idx + 10);
    }

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
        let bits = flags.bits();
        let shown = digest(in_data);
        let call =
            format!("ioctl {ino} {fh} flags {bits:#x} cmd {cmd:#x} in {shown} out {out_size}");
        let answer = ioctl(cmd, in_data, out_size);
        let shown = answer.as_ref().map(|(result, data)| format!("{result} {}", digest(data)));
        self.record(req, call, &shown.map_err(|errno| *errno));
        match answer {
            Ok((result, data)) => reply.ioctl(result, &data),
            Err(errno) => reply.error(errno),
        }
    }

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
        let mut state = self.state();
        let size = state.get(ino).map_or(0, |node| node.attr.size);
        let ready = if size > 0 { PollEvents::POLLIN & events } else { PollEvents::empty() };
        let call = format!(
            "poll {ino} {fh} {:?} events {:#x} flags {:#x}",
            ph.handle(),
            events.bits(),
            flags.bits()
        );
        if flags.contains(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY) && ready.is_empty() {
            state.polls.push((ino, ph));
        }
        self.record(req, call, &Ok(format!("{:#x}", ready.bits())));
        reply.poll(ready);
    }

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
        let answer = self.state().fallocate(ino, offset, length, mode);
        self.empty(req, format!("fallocate {ino} {fh} {offset}+{length} {mode}"), answer, reply);
    }

    fn lseek(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let answer = self.state().lseek(ino, offset, whence);
        let call = format!("lseek {ino} {fh} {offset} {whence}");
        self.record(req, call, &answer.map(|offset| offset.to_string()));
        match answer {
            Ok(offset) => reply.offset(offset),
            Err(errno) => reply.error(errno),
        }
    }

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
        let answer = self.state().copy((ino_in, offset_in), (ino_out, offset_out), len);
        let call = format!(
            "copy_file_range {ino_in} {fh_in} {offset_in} {ino_out} {fh_out} {offset_out} {len} {:#x}",
            flags.bits()
        );
        self.written(req, call, answer, reply);
    }
}

/// `lookup` and `getattr` on a tree of four, and nothing else.
struct Bare {
    spec: Spec,
    trace: Arc<Trace>,
}

impl Bare {
    fn attr(ino: u64) -> Option<FileAttr> {
        let kind = match ino {
            1 | 3 => FileType::Directory,
            2 => FileType::RegularFile,
            4 => FileType::Symlink,
            5 => FileType::NamedPipe,
            _ => return None,
        };
        Some(FileAttr {
            ino: INodeNo(ino),
            size: 4096,
            blocks: 8,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 512,
            flags: 0,
        })
    }
}

impl Filesystem for Bare {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        configure(&self.spec, config);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let ino = match name.to_str() {
            Some("file") => 2,
            Some("dir") => 3,
            Some("link") => 4,
            Some("fifo") => 5,
            _ => 0,
        };
        self.trace.push(format!("lookup {parent} {name:?} -> {ino}"));
        match Self::attr(ino) {
            Some(attr) => reply.entry(&Duration::ZERO, &attr, GENERATION),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.trace.push(format!("getattr {ino} {fh:?}"));
        match Self::attr(ino.0) {
            Some(attr) => reply.attr(&Duration::ZERO, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }
}

struct Nothing;

impl Filesystem for Nothing {}

fn config(spec: &Spec) -> Config {
    let mut config = Config::default();
    config.mount_options = spec.options.iter().map(|option| option_of(option)).collect();
    config.acl = match spec.acl {
        Acl::Owner => SessionACL::Owner,
        Acl::RootAndOwner => SessionACL::RootAndOwner,
        Acl::All => SessionACL::All,
    };
    config.n_threads = spec.n_threads;
    config.clone_fd = spec.clone_fd;
    config
}

fn option_of(text: &str) -> MountOption {
    match text {
        "dev" => MountOption::Dev,
        "nodev" => MountOption::NoDev,
        "suid" => MountOption::Suid,
        "nosuid" => MountOption::NoSuid,
        "ro" => MountOption::RO,
        "rw" => MountOption::RW,
        "exec" => MountOption::Exec,
        "noexec" => MountOption::NoExec,
        "atime" => MountOption::Atime,
        "noatime" => MountOption::NoAtime,
        "dirsync" => MountOption::DirSync,
        "sync" => MountOption::Sync,
        "async" => MountOption::Async,
        "auto_unmount" => MountOption::AutoUnmount,
        "default_permissions" => MountOption::DefaultPermissions,
        _ => match text.split_once('=') {
            Some(("fsname", name)) => MountOption::FSName(name.to_owned()),
            Some(("subtype", name)) => MountOption::Subtype(name.to_owned()),
            _ => MountOption::CUSTOM(text.to_owned()),
        },
    }
}

struct Background {
    session: BackgroundSession,
    trace: Arc<Trace>,
    mountpoint: Option<PathBuf>,
}

impl Mounted for Background {
    fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    fn notify(&self, note: Note<'_>) -> io::Result<()> {
        let notifier = self.session.notifier();
        match note {
            Note::InvalidEntry { parent, name } => {
                notifier.inval_entry(INodeNo(parent), OsStr::new(name))
            }
            Note::InvalidInode { ino, offset, len } => {
                notifier.inval_inode(INodeNo(ino), offset, len)
            }
            Note::Store { ino, offset, data } => notifier.store(INodeNo(ino), offset, data),
            Note::Delete { parent, child, name } => {
                notifier.delete(INodeNo(parent), INodeNo(child), OsStr::new(name))
            }
            Note::Poll { handle } => notifier.poll(PollHandle(handle)),
        }
    }

    fn end(self: Box<Self>) -> io::Result<()> {
        if let Some(mountpoint) = &self.mountpoint {
            detach(mountpoint)?;
        }
        self.join()
    }

    fn join(self: Box<Self>) -> io::Result<()> {
        self.session.guard.join().expect("a session's thread that does not panic")
    }
}

fn detach(mountpoint: &Path) -> io::Result<()> {
    Ok(nix::mount::umount2(mountpoint, nix::mount::MntFlags::MNT_DETACH)?)
}

fn mounted(spec: &Spec, at: &Path) -> io::Result<Box<dyn Mounted>> {
    let options = config(spec);
    let recorder = Recorder::new(spec);
    let trace = recorder.trace.clone();
    let session = match spec.kind {
        Kind::Full => spawn_mount(recorder, at, &options)?,
        Kind::Bare => spawn_mount(Bare { spec: spec.clone(), trace: trace.clone() }, at, &options)?,
        Kind::Nothing => spawn_mount(Nothing, at, &options)?,
    };
    Ok(Box::new(Background { session, trace, mountpoint: Some(at.to_owned()) }))
}

fn from_fd(spec: &Spec, fd: OwnedFd) -> io::Result<Box<dyn Mounted>> {
    let recorder = Recorder::new(spec);
    let trace = recorder.trace.clone();
    let options = config(spec);
    let session = Session::from_fd(recorder, fd, options.acl, options)?.spawn()?;
    Ok(Box::new(Background { session, trace, mountpoint: None }))
}

fn init_answer(spec: &Spec, fd: OwnedFd) -> String {
    let options = config(spec);
    let session = Session::from_fd(Recorder::new(spec), fd, options.acl, options);
    outcome(&session.map(drop))
}

fn create_raw(spec: &Spec, at: &Path, file: &File) -> Vec<String> {
    let session = Session::new(Recorder::new(spec), at, &config(spec)).expect("a mount");
    let (reader, _writer) = nix::unistd::pipe().expect("a pipe");
    vec![
        format!("file {}", outcome(&BackingId::create_raw(&session, file))),
        format!("another {}", outcome(&BackingId::create_raw(&session, file))),
        format!("pipe {}", outcome(&BackingId::create_raw(&session, &reader))),
        format!("no device {}", outcome(&BackingId::create_raw(file, file))),
    ]
}

/// Calls every setter with values good and bad, from within `init`.
fn kernel_config(at: &Path) -> Vec<String> {
    struct Prober(Arc<Trace>);

    impl Filesystem for Prober {
        fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
            let said = |what: String| self.0.push(what);
            said(format!("kernel_abi {:?} {0}", config.kernel_abi()));
            said(format!("capabilities {:#x}", config.capabilities().bits()));
            for value in
                [0, 1, 2, 4095, 4096, 4097, 65536, 1 << 20, 16 << 20, (16 << 20) + 1, u32::MAX]
            {
                said(format!("set_max_write {value}: {:?}", config.set_max_write(value)));
            }
            for value in [0, 1, 4096, 65536, 128 << 10, (128 << 10) + 1, u32::MAX] {
                let result = config.set_max_readahead(value);
                said(format!("set_max_readahead {value}: {result:?}"));
            }
            for value in [5, 0, 1, 12, 100, u16::MAX] {
                let result = config.set_congestion_threshold(value);
                said(format!("set_congestion_threshold {value}: {result:?}"));
            }
            for value in [0, 1, 2, 64, u16::MAX] {
                let result = config.set_max_background(value);
                said(format!("set_max_background {value}: {result:?}"));
            }
            for value in [0, 1, 2, 3, u32::MAX] {
                let result = config.set_max_stack_depth(value);
                said(format!("set_max_stack_depth {value}: {result:?}"));
            }
            for nanos in [
                0,
                1,
                2,
                5,
                9,
                10,
                11,
                50,
                99,
                100,
                1000,
                1_000_000,
                1_500_000,
                999_999_999,
                1_000_000_000,
                1_000_000_001,
                2_000_000_000,
                100_000_000_000,
            ] {
                let result = config.set_time_granularity(Duration::from_nanos(nanos));
                said(format!("set_time_granularity {nanos}: {result:?}"));
            }
            for bit in 0..64 {
                let flag = InitFlags::from_bits_retain(1 << bit);
                let result = config.add_capabilities(flag).map_err(|refused| refused.bits());
                said(format!("add_capabilities bit {bit}: {result:?}"));
            }
            let some = InitFlags::FUSE_POSIX_LOCKS | InitFlags::from_bits_retain(1 << 62);
            let result = config.add_capabilities(some).map_err(|refused| refused.bits());
            said(format!("add_capabilities of which one is unknown: {result:?}"));
            let none = config.add_capabilities(InitFlags::empty());
            said(format!("add_capabilities of none: {none:?}"));
            // What was asked for is not to be mounted.
            Err(io::Error::from_raw_os_error(libc::ENOTSUP))
        }
    }

    let trace = Arc::new(Trace::default());
    let result = Session::new(Prober(trace.clone()), at, &Config::default());
    trace.push(format!("Session::new {}", outcome(&result.map(drop))));
    trace.lines()
}

fn refused_options(at: &Path) -> Vec<String> {
    const CONFIGS: &[(&[&str], Acl)] = &[
        (&["dev", "nodev"], Acl::Owner),
        (&["suid", "nosuid"], Acl::Owner),
        (&["ro", "rw"], Acl::Owner),
        (&["exec", "noexec"], Acl::Owner),
        (&["atime", "noatime"], Acl::Owner),
        (&["sync", "async"], Acl::Owner),
        (&["rw", "fsname=x", "ro"], Acl::All),
        (&["auto_unmount"], Acl::Owner),
    ];
    CONFIGS
        .iter()
        .map(|(options, acl)| {
            let spec = Spec { options, acl: *acl, ..Spec::default() };
            let result = Session::new(Nothing, at, &config(&spec)).map(drop);
            format!("{options:?} {acl:?}: {}", outcome(&result))
        })
        .collect()
}

/// Conversions and constants.
fn values() -> Vec<String> {
    let mut said = Vec::new();
    for number in [i32::MIN, -5, -1, 0, 1, 2, 38, 133, 134, 4095, 4096, i32::MAX] {
        let errno = Errno::from_i32(number);
        let back: i32 = errno.into();
        said.push(format!("Errno::from_i32({number}) {} {back}", errno.code()));
        let error = io::Error::from_raw_os_error(number);
        said.push(format!("Errno from io::Error {number}: {}", Errno::from(error).code()));
    }
    for kind in [
        io::ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::NotConnected,
        io::ErrorKind::AddrInUse,
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::AlreadyExists,
        io::ErrorKind::WouldBlock,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::IsADirectory,
        io::ErrorKind::DirectoryNotEmpty,
        io::ErrorKind::ReadOnlyFilesystem,
        io::ErrorKind::StaleNetworkFileHandle,
        io::ErrorKind::InvalidInput,
        io::ErrorKind::InvalidData,
        io::ErrorKind::TimedOut,
        io::ErrorKind::WriteZero,
        io::ErrorKind::StorageFull,
        io::ErrorKind::NotSeekable,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::FileTooLarge,
        io::ErrorKind::ResourceBusy,
        io::ErrorKind::ExecutableFileBusy,
        io::ErrorKind::Deadlock,
        io::ErrorKind::TooManyLinks,
        io::ErrorKind::ArgumentListTooLong,
        io::ErrorKind::Interrupted,
        io::ErrorKind::Unsupported,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::OutOfMemory,
        io::ErrorKind::Other,
    ] {
        said.push(format!("Errno from {kind:?}: {}", Errno::from(kind).code()));
        let custom = io::Error::new(kind, "in words");
        said.push(format!("Errno from {kind:?} in words: {}", Errno::from(custom).code()));
    }
    for flags in 0..4 {
        let mode = std::panic::catch_unwind(|| OpenFlags(flags | libc::O_APPEND).acc_mode());
        said.push(format!("acc_mode of {flags}: {:?}", mode.ok()));
    }
    said.push(format!("{:?}", [Errno::NO_XATTR.code(), Errno::ENOSYS.code(), Errno::EPERM.code()]));
    said.push(format!("{}", Errno::ENOENT == Errno::from_i32(libc::ENOENT)));
    said.push(format!("{:?}", INodeNo::ROOT));
    said.push(format!(
        "{}",
        u64::from(INodeNo(9)) + u64::from(FileHandle(8)) + u64::from(Generation(7))
    ));
    for (name, flag) in InitFlags::all().iter_names() {
        said.push(format!("InitFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in FopenFlags::all().iter_names() {
        said.push(format!("FopenFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in PollEvents::all().iter_names() {
        said.push(format!("PollEvents::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in WriteFlags::all().iter_names() {
        said.push(format!("WriteFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in RenameFlags::all().iter_names() {
        said.push(format!("RenameFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in IoctlFlags::all().iter_names() {
        said.push(format!("IoctlFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in AccessFlags::all().iter_names() {
        said.push(format!("AccessFlags::{name} {:#x}", flag.bits()));
    }
    for (name, flag) in BsdFileFlags::all().iter_names() {
        said.push(format!("BsdFileFlags::{name} {:#x}", flag.bits()));
    }
    for path in ["/", "/dev/null", "/dev/fuse", "/proc/self/exe"] {
        let kind = std::fs::symlink_metadata(path).expect("metadata").file_type();
        said.push(format!("FileType of {path}: {:?}", FileType::from_std(kind)));
    }
    said.push(format!("{:?} {:?}", SessionACL::default(), Config::default() == Config::default()));
    let Config { mount_options, acl, n_threads, clone_fd, .. } = Config::default();
    said.push(format!("{mount_options:?} {acl:?} {n_threads:?} {clone_fd}"));
    said
}

/// What values look like when they are printed.
fn formats() -> Vec<String> {
    fn debug(value: impl Debug) -> String {
        format!("{value:?}")
    }
    let flags = InitFlags::FUSE_ASYNC_READ | InitFlags::from_bits_retain(1 << 62);
    vec![
        debug(INodeNo(3)),
        INodeNo(3).to_string(),
        debug(FileHandle(4)),
        FileHandle(4).to_string(),
        debug(LockOwner(5)),
        LockOwner(5).to_string(),
        debug(Generation(6)),
        debug(PollHandle(7)),
        debug(OpenFlags(0o2)),
        debug(OpenFlags(0o2).acc_mode()),
        debug(Errno::ENOENT),
        debug(TimeOrNow::Now),
        debug(TimeOrNow::SpecificTime(UNIX_EPOCH)),
        debug(FileType::NamedPipe),
        debug(MountOption::FSName("x".to_owned())),
        debug(SessionACL::RootAndOwner),
        debug(flags),
        debug(AccessFlags::R_OK | AccessFlags::X_OK),
        (AccessFlags::R_OK | AccessFlags::X_OK).to_string(),
        AccessFlags::F_OK.to_string(),
        debug(FopenFlags::FOPEN_KEEP_CACHE),
        debug(PollEvents::POLLIN | PollEvents::POLLOUT),
        debug(PollFlags::FUSE_POLL_SCHEDULE_NOTIFY),
        debug(RenameFlags::RENAME_EXCHANGE),
        RenameFlags::RENAME_NOREPLACE.to_string(),
        IoctlFlags::FUSE_IOCTL_DIR.to_string(),
        debug(WriteFlags::FUSE_WRITE_CACHE),
        debug(CopyFileRangeFlags::empty()),
        debug(Bare::attr(2)),
    ]
}

/// Says what it is told by the session; fails or panics on request.
struct Witness {
    trace: Arc<Trace>,
    life: Life,
    destroyed: Arc<AtomicU32>,
}

impl Filesystem for Witness {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.trace.push("init".to_owned());
        match self.life {
            Life::InitFails => Err(io::Error::from_raw_os_error(libc::EPERM)),
            Life::InitFailsWithoutANumber => Err(io::Error::other("not today")),
            Life::AbortWithAbortError => {
                config.add_capabilities(InitFlags::FUSE_ABORT_ERROR).expect("ABORT_ERROR");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn destroy(&mut self) {
        self.destroyed.fetch_add(1, Ordering::SeqCst);
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        assert!(name != "panic", "as asked");
        reply.error(Errno::ENOENT);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match Bare::attr(ino.0) {
            Some(attr) => reply.attr(&Duration::ZERO, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }
}

fn lifecycle(life: Life, at: &Path) -> Vec<String> {
    let trace = Arc::new(Trace::default());
    let destroyed = Arc::new(AtomicU32::new(0));
    let witness = Witness { trace: trace.clone(), life, destroyed: destroyed.clone() };
    let mut spec = Spec::default();
    match life {
        Life::NoThreads => spec.n_threads = Some(0),
        Life::FourThreadsWithAbort => spec = Spec { n_threads: Some(4), clone_fd: true, ..spec },
        _ => {}
    }
    let options = config(&spec);
    let say = |what: &str, result: String| trace.push(format!("{what}: {result}"));
    let look = |what: &str| {
        let there = std::fs::metadata(at).map(|metadata| metadata.is_dir());
        trace.push(format!("{what}: {} mounted {}", outcome(&there), is_mounted(at)));
    };
    let joined = |runs: JoinHandle<io::Result<()>>| {
        runs.join().map_or("panic".to_owned(), |result| outcome(&result))
    };

    match life {
        Life::RunUntilUnmountedByCallable
        | Life::RunUntilUnmountedFromOutside
        | Life::UnmountTwice => {
            let mut session = Session::new(witness, at, &options).expect("a mount");
            let mut unmounter = session.unmount_callable();
            let runs = thread::spawn(move || session.run());
            look("running");
            if life == Life::RunUntilUnmountedFromOutside {
                say("umount", outcome(&nix::mount::umount(at).map_err(io::Error::from)));
            } else {
                say("unmount", outcome(&unmounter.unmount()));
            }
            if life == Life::UnmountTwice {
                say("unmount again", outcome(&unmounter.unmount()));
            }
            say("run", joined(runs));
            if life == Life::RunUntilUnmountedByCallable {
                say("unmount after the end", outcome(&unmounter.unmount()));
            }
        }
        Life::SpawnAndUmountAndJoin => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            look("spawned");
            say("umount_and_join", outcome(&session.umount_and_join()));
        }
        Life::SpawnAndJoinAfterOutside => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            look("spawned");
            say("umount", outcome(&nix::mount::umount(at).map_err(io::Error::from)));
            say("join", outcome(&session.join()));
        }
        Life::UmountAndJoinAfterOutside => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            look("spawned");
            say("umount", outcome(&nix::mount::umount(at).map_err(io::Error::from)));
            // Only when it has ended is it certain which of the two was first.
            tests::eventually(Duration::from_secs(10), "the session ends", || {
                session.guard.is_finished()
            });
            say("umount_and_join", outcome(&session.umount_and_join()));
        }
        Life::UmountAndJoinWhileBusy => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            let busy = File::open(at).expect("the root");
            let ends = thread::spawn(move || session.umount_and_join());
            thread::sleep(Duration::from_millis(100));
            trace.push(format!("still mounted {}", is_mounted(at)));
            drop(busy);
            say("umount_and_join", joined(ends));
            // Who was refused leaves it mounted.
            let _ = detach(at);
        }
        Life::SpawnAndDrop => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            look("spawned");
            drop(session);
        }
        Life::DropWithoutRunning => {
            let session = Session::new(witness, at, &options).expect("a mount");
            trace.push(format!("mounted {}", is_mounted(at)));
            drop(session);
        }
        Life::UnmountBeforeRunning => {
            let mut session = Session::new(witness, at, &options).expect("a mount");
            say("unmount", outcome(&session.unmount()));
            trace.push(format!("mounted {}", is_mounted(at)));
            say("unmount again", outcome(&session.unmount()));
            say("run", outcome(&session.run()));
        }
        Life::InitFails | Life::InitFailsWithoutANumber => {
            say("Session::new", outcome(&Session::new(witness, at, &options).map(drop)));
        }
        Life::NoThreads => {
            let failed = mount(witness, at, &options).is_err();
            say("mount fails", failed.to_string());
        }
        Life::FourThreadsWithAbort | Life::AbortWithAbortError => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            look("spawned");
            crate::connection_at(at).abort();
            say("join", outcome(&session.join()));
        }
        Life::PanicInAMethod => {
            let session = spawn_mount(witness, at, &options).expect("a mount");
            say("panic", outcome(&std::fs::metadata(at.join("panic")).map(drop)));
            if NAME == "async-fuser" {
                // Who asks fuser after it waits for ever.
                say("after it", outcome(&std::fs::metadata(at.join("missing")).map(drop)));
            }
            let _ = detach(at);
            say("join", outcome(&session.join()));
        }
    }

    tests::eventually(Duration::from_secs(10), "destroy", || destroyed.load(Ordering::SeqCst) > 0);
    // A second time would not be long in coming.
    thread::sleep(Duration::from_millis(20));
    trace.push(format!("destroyed {} times", destroyed.load(Ordering::SeqCst)));
    trace.push(format!("in the end mounted {}", is_mounted(at)));
    trace.lines()
}

fn is_mounted(at: &Path) -> bool {
    tests::mounts().iter().any(|mount| mount.path == at)
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
