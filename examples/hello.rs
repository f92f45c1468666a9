//! A read-only filesystem: a greeting, and a directory with the same in other languages.
//!
//! Four methods make a tree that can be read:
//!
//! * `lookup` goes one step down a path: directory and name in, inode number and attributes out;
//! * `getattr` is `stat(2)` of an inode the kernel knows the number of;
//! * `readdir` lists a directory, in pieces, each starting where the last one ended;
//! * `read` answers bytes of a file. `open` has a default that says yes.
//!
//! The kernel speaks of files by inode number alone. Which numbers there are is up to the filesystem;
//! only the root's is given: 1. Here all of it is one table, and the number is an index into it.
//!
//! Each answer says how long the kernel may believe it without asking again. As nothing here ever
//! changes, that is an hour: list the directory twice with `-vv` and see the second time ask less.
//! The mount is read-only, so no write comes this far: the kernel answers `EROFS` itself.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use async_fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request,
};
use clap::Parser;
use examples::cli::{Args, Example};
use nix::unistd::{getgid, getuid};

const EXAMPLE: Example = Example {
    name: "hello",
    try_it: &[
        "cat {}/greeting",
        "ls -lR {}",
        "head {}/languages/*",
        "touch {}/new    # Read-only file system",
    ],
};

/// A read-only filesystem with a greeting in it
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mount: Args,
}

/// A row of the table. `parent` is the inode number of the directory it is in.
struct Node {
    parent: u64,
    name: &'static str,
    content: Content,
}

enum Content {
    Directory,
    File(&'static str),
}

use Content::{Directory, File};

/// Inode number `n` is row `n - 1`. The root is its own parent, as in any filesystem.
const NODES: &[Node] = &[
    Node { parent: 1, name: "", content: Directory },
    Node { parent: 1, name: "greeting", content: File("Hello from user space!\n") },
    Node { parent: 1, name: "languages", content: Directory },
    Node { parent: 3, name: "deutsch", content: File("Hallo aus dem Userspace!\n") },
    Node { parent: 3, name: "français", content: File("Bonjour de l'espace utilisateur !\n") },
    Node {
        parent: 3, name: "日本語", content: File("ユーザー空間からこんにちは！\n")
    },
];

/// How long the kernel may keep what it was told.
const TTL: Duration = Duration::from_secs(3600);

struct Hello {
    uid: u32,
    gid: u32,
}

impl Hello {
    fn attr(&self, ino: INodeNo, node: &Node) -> FileAttr {
        let (kind, perm, nlink, size) = match node.content {
            Directory => (FileType::Directory, 0o555, 2, 0),
            File(text) => (FileType::RegularFile, 0o444, 1, text.len() as u64),
        };
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Hello {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match children(parent).find(|(_, node)| node.name == name) {
            Some((ino, node)) => reply.entry(&TTL, &self.attr(ino, node), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match node(ino) {
            Some(node) => reply.attr(&TTL, &self.attr(ino, node)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(Node { parent, content: Directory, .. }) = node(ino) else {
            return reply.error(Errno::ENOTDIR);
        };
        let dots = [(ino, FileType::Directory, "."), (INodeNo(*parent), FileType::Directory, "..")];
        let rest = children(ino).map(|(ino, node)| (ino, kind(node), node.name));

        // An entry's offset says where to go on *after* it: the kernel hands it back for the next piece.
        let entries = dots.into_iter().chain(rest).zip(1..);
        for ((ino, kind, name), next) in entries.filter(|(_, next)| *next > offset) {
            let full = reply.add(ino, next, kind, name);
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match node(ino).map(|node| &node.content) {
            Some(File(text)) => reply.data(examples::part(text.as_bytes(), offset, size)),
            Some(Directory) => reply.error(Errno::EISDIR),
            None => reply.error(Errno::ENOENT),
        }
    }
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let hello = Hello { uid: getuid().as_raw(), gid: getgid().as_raw() };
    EXAMPLE.run(&cli.mount.read_only(), hello)
}

fn node(ino: INodeNo) -> Option<&'static Node> {
    let row = ino.0.checked_sub(1)?;
    NODES.get(usize::try_from(row).ok()?)
}

fn children(of: INodeNo) -> impl Iterator<Item = (INodeNo, &'static Node)> {
    let numbered = (1..).map(INodeNo).zip(NODES);
    numbered.filter(move |(ino, node)| node.parent == of.0 && *ino != of)
}

fn kind(node: &Node) -> FileType {
    match node.content {
        Directory => FileType::Directory,
        File(_) => FileType::RegularFile,
    }
}
