//! What `hello` and `async_hello` serve: a greeting, and a directory with the same in other languages.
//!
//! The kernel speaks of files by inode number alone. Which numbers there are is up to the filesystem;
//! only the root's is given: 1. Here all of it is one table, and the number is an index into it.

use std::ffi::OsStr;
use std::time::Duration;

use async_fuser::{Errno, FileAttr, FileType, INodeNo};

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

/// How long the kernel may keep what it was told: nothing here ever changes.
pub const TTL: Duration = Duration::from_secs(3600);

/// The attributes of what is called `name` in a directory.
///
/// # Errors
/// `ENOENT` if there is none.
pub fn find(parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
    let mut children = children(parent);
    let (ino, _) = children.find(|(_, node)| node.name == name).ok_or(Errno::ENOENT)?;
    attr(ino)
}

/// The attributes of an inode.
///
/// # Errors
/// `ENOENT` if there is none of this number.
pub fn attr(ino: INodeNo) -> Result<FileAttr, Errno> {
    Ok(match node(ino)?.content {
        Directory => crate::attr(ino, FileType::Directory, 0o555, 0),
        File(text) => crate::attr(ino, FileType::RegularFile, 0o444, text.len() as u64),
    })
}

/// What is in a file.
///
/// # Errors
/// `EISDIR` if it is a directory.
pub fn text(ino: INodeNo) -> Result<&'static [u8], Errno> {
    match node(ino)?.content {
        File(text) => Ok(text.as_bytes()),
        Directory => Err(Errno::EISDIR),
    }
}

/// The entries of a directory behind `offset`, each with its own offset, which says where to go on
/// *after* it: the kernel hands it back for the next piece.
///
/// # Errors
/// `ENOTDIR` if it is a file.
pub fn entries(
    ino: INodeNo,
    offset: u64,
) -> Result<impl Iterator<Item = (u64, INodeNo, FileType, &'static str)>, Errno> {
    let Node { parent, content: Directory, .. } = node(ino)? else { return Err(Errno::ENOTDIR) };
    let dots = [(ino, FileType::Directory, "."), (INodeNo(*parent), FileType::Directory, "..")];
    let rest = children(ino).map(|(ino, node)| (ino, kind(node), node.name));
    let entries = (1..).zip(dots.into_iter().chain(rest));
    let entries = entries.map(|(next, (ino, kind, name))| (next, ino, kind, name));
    Ok(entries.filter(move |(next, ..)| *next > offset))
}

fn node(ino: INodeNo) -> Result<&'static Node, Errno> {
    let row = usize::try_from(ino.0).ok().and_then(|number| number.checked_sub(1));
    row.and_then(|row| NODES.get(row)).ok_or(Errno::ENOENT)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_behind_any_of_its_entries() {
        let names = |offset| -> Vec<_> {
            entries(INodeNo::ROOT, offset).unwrap().map(|(.., name)| name).collect()
        };
        assert_eq!(names(0), [".", "..", "greeting", "languages"]);
        for (next, _, _, name) in entries(INodeNo::ROOT, 0).unwrap() {
            let all = names(0);
            let place = all.iter().position(|found| *found == name).unwrap();
            assert_eq!(names(next), all[place + 1..]);
        }
    }

    #[test]
    fn what_is_listed_is_found_under_the_same_number() {
        for (_, ino, kind, name) in entries(INodeNo(3), 2).unwrap() {
            let found = find(INodeNo(3), OsStr::new(name)).unwrap();
            assert_eq!((found.ino, found.kind), (ino, kind));
            assert_eq!(text(ino).unwrap().len() as u64, found.size);
        }
    }

    #[test]
    fn numbers_that_are_none_and_kinds_that_do_not_fit_are_errors() {
        for ino in [0, 7, u64::MAX].map(INodeNo) {
            assert_eq!(attr(ino), Err(Errno::ENOENT));
        }
        assert_eq!(text(INodeNo::ROOT), Err(Errno::EISDIR));
        assert_eq!(entries(INodeNo(2), 0).err(), Some(Errno::ENOTDIR));
        assert_eq!(find(INodeNo::ROOT, OsStr::new("deutsch")), Err(Errno::ENOENT));
    }
}
