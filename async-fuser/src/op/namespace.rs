use std::ffi::OsStr;
use std::path::Path;

use super::{Opcode, operations};
use crate::abi::*;
use crate::types::{INodeNo, RenameFlags};

operations! {
    /// Look up a directory entry by name.
    ///
    /// A positive answer counts as one lookup of the inode: the kernel takes it back with
    /// [`Forget`].
    struct Lookup {
        /// The directory.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
    }
    decode(req, args) { Self { req, parent: req.node(), name: args.name()? } }

    /// The kernel drops its knowledge of an inode.
    struct Forget {
        /// The inode.
        ino: INodeNo,
        /// How many lookups it takes back.
        nlookup: u64,
    }
    decode(req, args) {
        let fixed: fuse_forget_in = args.fixed()?;
        Self { req, ino: req.node(), nlookup: fixed.nlookup }
    }

    /// Many [`Forget`]s at once.
    struct BatchForget {
        /// The inodes, each with its lookups.
        nodes: &'a [crate::types::ForgetOne],
    }
    decode(req, args) {
        let fixed: fuse_batch_forget_in = args.fixed()?;
        Self { req, nodes: args.slice(fixed.count)? }
    }

    /// Create a file, a fifo, a socket or a device.
    struct Mknod {
        /// The directory.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
        /// Kind and permissions: `S_IF*` and mode bits, the umask already applied unless
        /// `FUSE_DONT_MASK` was negotiated.
        mode: u32,
        /// The caller's umask.
        umask: u32,
        /// The device number, for a device.
        rdev: u32,
    }
    decode(req, args) {
        let fixed: fuse_mknod_in = args.fixed()?;
        Self {
            req,
            parent: req.node(),
            name: args.name()?,
            mode: fixed.mode,
            umask: fixed.umask,
            rdev: fixed.rdev,
        }
    }

    /// Create a directory.
    struct Mkdir {
        /// The directory it goes into.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
        /// Permissions, the umask already applied unless `FUSE_DONT_MASK` was negotiated.
        mode: u32,
        /// The caller's umask.
        umask: u32,
    }
    decode(req, args) {
        let fixed: fuse_mkdir_in = args.fixed()?;
        Self {
            req,
            parent: req.node(),
            name: args.name()?,
            mode: fixed.mode,
            umask: fixed.umask,
        }
    }

    /// Remove a file's name.
    struct Unlink {
        /// The directory.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
    }
    decode(req, args) { Self { req, parent: req.node(), name: args.name()? } }

    /// Remove a directory.
    struct Rmdir {
        /// The directory it is in.
        parent: INodeNo,
        /// The entry's name.
        name: &'a OsStr,
    }
    decode(req, args) { Self { req, parent: req.node(), name: args.name()? } }

    /// Create a symbolic link.
    struct Symlink {
        /// The directory.
        parent: INodeNo,
        /// The entry's name.
        link_name: &'a OsStr,
        /// Where it points, verbatim.
        target: &'a Path,
    }
    decode(req, args) {
        let (link_name, target) = (args.name()?, args.name()?);
        Self { req, parent: req.node(), link_name, target: Path::new(target) }
    }

    /// Rename an entry.
    struct Rename {
        /// The directory it leaves.
        parent: INodeNo,
        /// The name it leaves.
        name: &'a OsStr,
        /// The directory it enters.
        newparent: INodeNo,
        /// The name it takes.
        newname: &'a OsStr,
        /// How, where the caller used `renameat2(2)`.
        flags: RenameFlags,
    }
    decode(req, args) {
        let (newdir, flags) = if req.opcode() == Opcode::RENAME.0 {
            let fixed: fuse_rename_in = args.fixed()?;
            (fixed.newdir, 0)
        } else {
            let fixed: fuse_rename2_in = args.fixed()?;
            (fixed.newdir, fixed.flags)
        };
        Self {
            req,
            parent: req.node(),
            name: args.name()?,
            newparent: INodeNo(newdir),
            newname: args.name()?,
            flags: RenameFlags::from_bits_retain(flags),
        }
    }

    /// Give an inode one more name.
    struct Link {
        /// The inode.
        ino: INodeNo,
        /// The directory of the new name.
        newparent: INodeNo,
        /// The new name.
        newname: &'a OsStr,
    }
    decode(req, args) {
        let fixed: fuse_link_in = args.fixed()?;
        Self { req, ino: INodeNo(fixed.oldnodeid), newparent: req.node(), newname: args.name()? }
    }

    /// Swap two files' contents (macOS).
    struct Exchange {
        /// The first file's directory.
        parent: INodeNo,
        /// The first file's name.
        name: &'a OsStr,
        /// The second file's directory.
        newparent: INodeNo,
        /// The second file's name.
        newname: &'a OsStr,
        /// Options of `exchangedata(2)`.
        options: u64,
    }
    decode(req, args) {
        let [olddir, newdir, options]: [u64; 3] = args.fixed()?;
        Self {
            req,
            parent: INodeNo(olddir),
            name: args.name()?,
            newparent: INodeNo(newdir),
            newname: args.name()?,
            options,
        }
    }

    /// Rename the volume (macOS).
    struct Setvolname {
        /// Its new name.
        name: &'a OsStr,
    }
    decode(req, args) { Self { req, name: args.name()? } }
}
