use std::ffi::OsStr;

use super::operations;
use crate::abi::*;
use crate::types::INodeNo;

operations! {
    /// Set an extended attribute.
    struct Setxattr {
        /// The inode.
        ino: INodeNo,
        /// The attribute's name.
        name: &'a OsStr,
        /// Its value.
        value: &'a [u8],
        /// `XATTR_CREATE`, `XATTR_REPLACE` or 0.
        flags: i32,
        /// Where in the value to begin (macOS; elsewhere 0).
        position: u32,
        /// Setting this ACL must drop the set-gid bit. Told only after `FUSE_SETXATTR_EXT`.
        acl_kill_sgid: bool,
    }
    decode(req, args) {
        let [size, flags, third, _] = if cfg!(target_os = "macos") || args.dialect().setxattr_ext {
            args.fixed::<[u32; 4]>()?
        } else {
            let [size, flags] = args.fixed()?;
            [size, flags, 0, 0]
        };
        let (position, setxattr_flags) =
            if cfg!(target_os = "macos") { (third, 0) } else { (0, third) };
        Self {
            req,
            ino: req.node(),
            name: args.name()?,
            value: args.data(size)?,
            flags: flags as i32,
            position,
            acl_kill_sgid: setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID != 0,
        }
    }

    /// Get an extended attribute.
    struct Getxattr {
        /// The inode.
        ino: INodeNo,
        /// The attribute's name.
        name: &'a OsStr,
        /// How many bytes the caller has room for; 0 asks for the value's size.
        size: u32,
    }
    room size
    decode(req, args) {
        let fixed: fuse_getxattr_in = args.fixed()?;
        Self { req, ino: req.node(), name: args.name()?, size: fixed.size }
    }

    /// List the names of a file's extended attributes.
    struct Listxattr {
        /// The inode.
        ino: INodeNo,
        /// How many bytes the caller has room for; 0 asks for the list's size.
        size: u32,
    }
    room size
    decode(req, args) {
        let fixed: fuse_getxattr_in = args.fixed()?;
        Self { req, ino: req.node(), size: fixed.size }
    }

    /// Remove an extended attribute.
    struct Removexattr {
        /// The inode.
        ino: INodeNo,
        /// The attribute's name.
        name: &'a OsStr,
    }
    decode(req, args) { Self { req, ino: req.node(), name: args.name()? } }
}
