//! A filesystem in memory: what it has, and what each operation does to it. It knows of no reply.
//! Included once for each crate, whose `fuser` is the one above.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, LockOwner,
    RenameFlags, TimeOrNow,
};

pub(crate) type Answer<T> = Result<T, Errno>;

/// The filesystem's files. Who waits for a lock is a `W`, who waits for a file to be ready a `P`.
pub(crate) struct State<W, P> {
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) next_fh: u64,
    /// Every change is one second after the one before.
    pub(crate) clock: u64,
    pub(crate) ticks: bool,
    pub(crate) locks: Vec<Lock>,
    pub(crate) waiting: Vec<(Lock, W)>,
    pub(crate) polls: Vec<(INodeNo, P)>,
}

pub(crate) struct Node {
    pub(crate) attr: FileAttr,
    pub(crate) content: Content,
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
}

pub(crate) enum Content {
    File(Vec<u8>),
    Directory { parent: u64, entries: Vec<(u64, OsString, u64)>, next: u64 },
    Symlink(PathBuf),
    Special,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) ino: u64,
    pub(crate) owner: LockOwner,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) typ: i32,
    pub(crate) pid: u32,
}

pub(crate) const LARGEST_FILE: u64 = 8 << 20;
pub(crate) const GENERATION: Generation = Generation(7);

impl<W, P> State<W, P> {
    pub(crate) fn new(ticks: bool) -> Self {
        let mut state = Self {
            nodes: BTreeMap::new(),
            next_fh: 100,
            clock: 1_000_000_000,
            ticks,
            locks: Vec::new(),
            waiting: Vec::new(),
            polls: Vec::new(),
        };
        let root = Content::Directory { parent: 1, entries: Vec::new(), next: 3 };
        state.node(FileType::Directory, 0o755, 0, (0, 0), root);
        state
    }

    pub(crate) fn handle(&mut self) -> FileHandle {
        self.next_fh += 1;
        FileHandle(self.next_fh)
    }

    pub(crate) fn now(&mut self) -> SystemTime {
        self.clock += u64::from(self.ticks);
        UNIX_EPOCH + Duration::new(self.clock, 123_456_789)
    }

    pub(crate) fn node(
        &mut self,
        kind: FileType,
        perm: u16,
        rdev: u32,
        (uid, gid): (u32, u32),
        content: Content,
    ) -> FileAttr {
        let ino = self.nodes.len() as u64 + 1;
        let now = self.now();
        let size = match &content {
            Content::Symlink(target) => target.as_os_str().len() as u64,
            _ => 0,
        };
        let attr = FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind,
            perm,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid,
            gid,
            rdev,
            blksize: 4096,
            flags: 0,
        };
        self.nodes.insert(ino, Node { attr, content, xattrs: BTreeMap::new() });
        attr
    }

    pub(crate) fn get(&mut self, ino: INodeNo) -> Answer<&mut Node> {
        self.nodes.get_mut(&ino.0).ok_or(Errno::ESTALE)
    }

    pub(crate) fn entries(&mut self, ino: INodeNo) -> Answer<&mut Vec<(u64, OsString, u64)>> {
        match &mut self.get(ino)?.content {
            Content::Directory { entries, .. } => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn file(&mut self, ino: INodeNo) -> Answer<&mut Vec<u8>> {
        match &mut self.get(ino)?.content {
            Content::File(data) => Ok(data),
            Content::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn find(&mut self, parent: INodeNo, name: &OsStr) -> Answer<FileAttr> {
        if name.len() > 200 {
            return Err(Errno::ENAMETOOLONG);
        }
        let entries = self.entries(parent)?;
        let (_, _, ino) = entries.iter().find(|(_, n, _)| n == name).ok_or(Errno::ENOENT)?;
        let ino = INodeNo(*ino);
        Ok(self.get(ino)?.attr)
    }

    pub(crate) fn touch(&mut self, ino: INodeNo) -> Answer<()> {
        let now = self.now();
        let node = self.get(ino)?;
        (node.attr.mtime, node.attr.ctime) = (now, now);
        Ok(())
    }

    /// Puts `ino` into a directory, as something new there.
    pub(crate) fn enter(&mut self, parent: INodeNo, name: &OsStr, ino: INodeNo) -> Answer<()> {
        self.touch(parent)?;
        let is_directory = self.get(ino)?.attr.kind == FileType::Directory;
        let node = self.get(parent)?;
        if is_directory {
            node.attr.nlink += 1;
        }
        let Content::Directory { entries, next, .. } = &mut node.content else {
            return Err(Errno::ENOTDIR);
        };
        entries.push((*next, name.to_owned(), ino.0));
        *next += 1;
        if let Content::Directory { parent: up, .. } = &mut self.get(ino)?.content {
            *up = parent.0;
        }
        Ok(())
    }

    /// Takes an entry out of a directory; its inode keeps its number of links.
    pub(crate) fn leave(&mut self, parent: INodeNo, name: &OsStr) -> Answer<INodeNo> {
        let attr = self.find(parent, name)?;
        self.entries(parent)?.retain(|(_, n, _)| n != name);
        self.touch(parent)?;
        if attr.kind == FileType::Directory {
            self.get(parent)?.attr.nlink -= 1;
        }
        Ok(attr.ino)
    }

    pub(crate) fn remove(&mut self, parent: INodeNo, name: &OsStr, directory: bool) -> Answer<()> {
        let attr = self.find(parent, name)?;
        match (attr.kind == FileType::Directory, directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (true, true) if !self.entries(attr.ino)?.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.leave(parent, name)?;
        let now = self.now();
        let node = self.get(attr.ino)?;
        node.attr.nlink -= if directory { 2 } else { 1 };
        node.attr.ctime = now;
        Ok(())
    }

    pub(crate) fn make(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        kind: FileType,
        (perm, rdev): (u16, u32),
        owner: (u32, u32),
        content: Content,
    ) -> Answer<FileAttr> {
        match self.find(parent, name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(errno) if errno.code() != libc::ENOENT => return Err(errno),
            Err(_) => {}
        }
        let attr = self.node(kind, perm, rdev, owner, content);
        self.enter(parent, name, attr.ino)?;
        Ok(attr)
    }

    pub(crate) fn rename(
        &mut self,
        (parent, name): (INodeNo, &OsStr),
        (newparent, newname): (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Answer<()> {
        let source = self.find(parent, name)?;
        let target = match self.find(newparent, newname) {
            Ok(target) => Some(target),
            Err(errno) if errno.code() == libc::ENOENT => None,
            Err(errno) => return Err(errno),
        };
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            let target = target.ok_or(Errno::ENOENT)?;
            self.leave(parent, name)?;
            self.leave(newparent, newname)?;
            self.enter(parent, name, target.ino)?;
            return self.enter(newparent, newname, source.ino);
        }
        if let Some(target) = target {
            if flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            self.remove(newparent, newname, target.kind == FileType::Directory)?;
        }
        self.leave(parent, name)?;
        self.enter(newparent, newname, source.ino)?;
        if flags.contains(RenameFlags::RENAME_WHITEOUT) {
            let owner = (source.uid, source.gid);
            self.make(parent, name, FileType::CharDevice, (0, 0), owner, Content::Special)?;
        }
        Ok(())
    }

    pub(crate) fn resize(&mut self, ino: INodeNo, size: u64) -> Answer<()> {
        if size > LARGEST_FILE {
            return Err(Errno::EFBIG);
        }
        self.file(ino)?.resize(size as usize, 0);
        self.touch(ino)?;
        let attr = &mut self.get(ino)?.attr;
        attr.size = size;
        attr.blocks = size.div_ceil(512);
        Ok(())
    }

    pub(crate) fn write(&mut self, ino: INodeNo, offset: u64, data: &[u8]) -> Answer<u32> {
        let end = offset + data.len() as u64;
        let size = self.file(ino)?.len() as u64;
        self.resize(ino, size.max(end))?;
        self.file(ino)?[offset as usize..end as usize].copy_from_slice(data);
        Ok(data.len() as u32)
    }

    pub(crate) fn slice(&mut self, ino: INodeNo, offset: u64, size: u64) -> Answer<Vec<u8>> {
        let data = self.file(ino)?;
        let start = offset.min(data.len() as u64) as usize;
        let end = offset.saturating_add(size).min(data.len() as u64) as usize;
        Ok(data[start..end].to_vec())
    }

    pub(crate) fn obstacle(&self, wanted: &Lock) -> Option<Lock> {
        let stands_in_the_way = |held: &&Lock| {
            held.ino == wanted.ino
                && held.owner != wanted.owner
                && held.start <= wanted.end
                && wanted.start <= held.end
                && (held.typ == libc::F_WRLCK || wanted.typ == libc::F_WRLCK)
        };
        self.locks.iter().find(stands_in_the_way).copied()
    }

    /// Sets or removes a lock that nothing stands in the way of.
    pub(crate) fn lock(&mut self, wanted: Lock) {
        let mut kept = Vec::new();
        for held in self.locks.drain(..) {
            let apart = held.end < wanted.start || wanted.end < held.start;
            if held.ino != wanted.ino || held.owner != wanted.owner || apart {
                kept.push(held);
                continue;
            }
            if held.start < wanted.start {
                kept.push(Lock { end: wanted.start - 1, ..held });
            }
            if held.end > wanted.end {
                kept.push(Lock { start: wanted.end + 1, ..held });
            }
        }
        if wanted.typ != libc::F_UNLCK {
            kept.push(wanted);
        }
        self.locks = kept;
    }

    /// Those who waited for a lock and now have it.
    pub(crate) fn unblocked(&mut self) -> Vec<W> {
        let mut replies = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting);
        while let Some(at) = waiting.iter().position(|(lock, _)| self.obstacle(lock).is_none()) {
            let (lock, reply) = waiting.remove(at);
            self.lock(lock);
            replies.push(reply);
        }
        self.waiting = waiting;
        replies
    }

    pub(crate) fn unlock_all(&mut self, ino: INodeNo, owner: LockOwner) -> Vec<W> {
        self.locks.retain(|lock| lock.ino != ino.0 || lock.owner != owner);
        self.unblocked()
    }

    #[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
    pub(crate) fn setattr(
        &mut self,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
    ) -> Answer<FileAttr> {
        if let Some(size) = size {
            self.resize(ino, size)?;
        }
        let now = self.now();
        let specific = |wanted| match wanted {
            TimeOrNow::Now => now,
            TimeOrNow::SpecificTime(time) => time,
        };
        let attr = &mut self.get(ino)?.attr;
        attr.perm = mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
        attr.uid = uid.unwrap_or(attr.uid);
        attr.gid = gid.unwrap_or(attr.gid);
        attr.atime = atime.map_or(attr.atime, specific);
        attr.mtime = mtime.map_or(attr.mtime, specific);
        attr.ctime = ctime.unwrap_or(now);
        Ok(*attr)
    }

    pub(crate) fn readlink(&mut self, ino: INodeNo) -> Answer<PathBuf> {
        match &self.get(ino)?.content {
            Content::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn mknod(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        rdev: u32,
        owner: (u32, u32),
    ) -> Answer<FileAttr> {
        let kind = kind_of(mode);
        let content = match kind {
            FileType::RegularFile => Content::File(Vec::new()),
            _ => Content::Special,
        };
        self.make(parent, name, kind, ((mode & 0o7777) as u16, rdev), owner, content)
    }

    pub(crate) fn mkdir(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        owner: (u32, u32),
    ) -> Answer<FileAttr> {
        let content = Content::Directory { parent: parent.0, entries: Vec::new(), next: 3 };
        let perm = ((mode & 0o7777) as u16, 0);
        self.make(parent, name, FileType::Directory, perm, owner, content)
    }

    pub(crate) fn symlink(
        &mut self,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        owner: (u32, u32),
    ) -> Answer<FileAttr> {
        let content = Content::Symlink(target.to_owned());
        self.make(parent, link_name, FileType::Symlink, (0o777, 0), owner, content)
    }

    pub(crate) fn link(
        &mut self,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
    ) -> Answer<FileAttr> {
        if self.find(newparent, newname).is_ok() {
            return Err(Errno::EEXIST);
        }
        if self.get(ino)?.attr.nlink == 3 {
            return Err(Errno::EMLINK);
        }
        self.enter(newparent, newname, ino)?;
        let now = self.now();
        let attr = &mut self.get(ino)?.attr;
        attr.nlink += 1;
        attr.ctime = now;
        Ok(*attr)
    }

    /// Two may create a file at once.
    pub(crate) fn create(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: i32,
        owner: (u32, u32),
    ) -> Answer<FileAttr> {
        match self.find(parent, name) {
            Ok(attr) if flags & libc::O_EXCL == 0 => Ok(attr),
            _ => self.mknod(parent, name, libc::S_IFREG | mode & 0o7777, 0, owner),
        }
    }

    pub(crate) fn setxattr(
        &mut self,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Answer<()> {
        let xattrs = &mut self.get(ino)?.xattrs;
        if value.len() > 40_000 {
            return Err(Errno::ENOSPC);
        }
        match (flags, xattrs.contains_key(name)) {
            (libc::XATTR_CREATE, true) => Err(Errno::EEXIST),
            (libc::XATTR_REPLACE, false) => Err(Errno::NO_XATTR),
            _ => {
                xattrs.insert(name.to_owned(), value.to_owned());
                Ok(())
            }
        }
    }

    pub(crate) fn getxattr(&mut self, ino: INodeNo, name: &OsStr) -> Answer<Vec<u8>> {
        self.get(ino)?.xattrs.get(name).cloned().ok_or(Errno::NO_XATTR)
    }

    pub(crate) fn listxattr(&mut self, ino: INodeNo) -> Answer<Vec<u8>> {
        let with_zero = |name: &OsString| [name.as_encoded_bytes(), b"\0"].concat();
        Ok(self.get(ino)?.xattrs.keys().flat_map(with_zero).collect())
    }

    pub(crate) fn removexattr(&mut self, ino: INodeNo, name: &OsStr) -> Answer<()> {
        self.get(ino)?.xattrs.remove(name).map(drop).ok_or(Errno::NO_XATTR)
    }

    pub(crate) fn access(&mut self, ino: INodeNo, mask: AccessFlags) -> Answer<()> {
        let perm = u32::from(self.get(ino)?.attr.perm >> 6);
        let may = perm & mask.bits() as u32 == mask.bits() as u32;
        if may { Ok(()) } else { Err(Errno::EACCES) }
    }

    pub(crate) fn fallocate(
        &mut self,
        ino: INodeNo,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Answer<()> {
        let size = self.file(ino)?.len() as u64;
        let end = offset + length;
        match mode {
            0 => self.resize(ino, size.max(end)),
            libc::FALLOC_FL_KEEP_SIZE if end > LARGEST_FILE => Err(Errno::ENOSPC),
            libc::FALLOC_FL_KEEP_SIZE => Ok(()),
            mode if mode == libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE => {
                let (start, end) = (offset.min(size) as usize, end.min(size) as usize);
                self.file(ino)?[start..end].fill(0);
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    pub(crate) fn lseek(&mut self, ino: INodeNo, offset: i64, whence: i32) -> Answer<i64> {
        let size = self.file(ino)?.len() as i64;
        match whence {
            _ if offset >= size => Err(Errno::ENXIO),
            libc::SEEK_DATA => Ok(offset),
            libc::SEEK_HOLE => Ok(size),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn copy(
        &mut self,
        (from, offset_in): (INodeNo, u64),
        (to, offset_out): (INodeNo, u64),
        len: u64,
    ) -> Answer<u32> {
        let data = self.slice(from, offset_in, len)?;
        self.write(to, offset_out, &data)
    }

    pub(crate) fn listing(&mut self, ino: INodeNo) -> Answer<Vec<(u64, OsString, FileAttr)>> {
        let Content::Directory { parent, entries, .. } = &self.get(ino)?.content else {
            return Err(Errno::ENOTDIR);
        };
        let mut listed = vec![(1, ".".into(), ino.0), (2, "..".into(), *parent)];
        listed.extend(entries.iter().cloned());
        let with_attr = |(cookie, name, ino)| Ok((cookie, name, self.get(INodeNo(ino))?.attr));
        listed.into_iter().map(with_attr).collect()
    }
}

/// The number and the data that an ioctl comes to.
pub(crate) fn ioctl(cmd: u32, in_data: &[u8], out_size: u32) -> Answer<(i32, Vec<u8>)> {
    match cmd & 0xff {
        0 => Ok((0, vec![0x5a; out_size as usize])),
        1 => Ok((7, Vec::new())),
        2 => Ok((0, in_data.iter().rev().copied().collect())),
        3 => Ok((0, vec![1; out_size as usize / 2])),
        4 => Ok((-libc::EDOM, Vec::new())),
        _ => Err(Errno::ENOTTY),
    }
}

pub(crate) fn brief(attr: &FileAttr) -> String {
    let FileAttr { ino, size, blocks, kind, perm, nlink, uid, gid, rdev, .. } = attr;
    let times = [attr.atime, attr.mtime, attr.ctime].map(time).join(" ");
    format!("{ino} {kind:?} {perm:o} {size}/{blocks} x{nlink} {uid}:{gid} {rdev:#x} {times}")
}

/// A time relative to 1970, or "now" for what the kernel took from the clock.
pub(crate) fn time(time: SystemTime) -> String {
    let now = SystemTime::now();
    let apart = now.duration_since(time).unwrap_or_else(|error| error.duration());
    if apart < Duration::from_secs(3600) {
        return "now".to_owned();
    }
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => format!("{}.{:09}", after.as_secs(), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            format!("-{}.{:09}", before.as_secs(), before.subsec_nanos())
        }
    }
}

pub(crate) fn time_or_now(wanted: TimeOrNow) -> String {
    match wanted {
        TimeOrNow::Now => "Now".to_owned(),
        TimeOrNow::SpecificTime(specific) => time(specific),
    }
}

/// Lock owners are hashes that differ each time: only whether there is one is of interest.
pub(crate) fn owner(owner: Option<LockOwner>) -> &'static str {
    if owner.is_some() { "owner" } else { "no owner" }
}

fn kind_of(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        _ => FileType::RegularFile,
    }
}
