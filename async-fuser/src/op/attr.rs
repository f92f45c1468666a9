use std::time::SystemTime;

use super::operations;
use crate::abi::*;
use crate::types::{
    AccessFlags, BsdFileFlags, FileHandle, INodeNo, StatxMask, TimeOrNow, time_from_wire,
};

operations! {
    /// Get a file's attributes.
    struct Getattr {
        /// The inode.
        ino: INodeNo,
        /// The open file, where the caller named one (`fstat(2)`).
        fh: Option<FileHandle>,
    }
    decode(req, args) {
        let fixed: fuse_getattr_in = args.fixed()?;
        let fh = (fixed.getattr_flags & FUSE_GETATTR_FH != 0).then_some(FileHandle(fixed.fh));
        Self { req, ino: req.node(), fh }
    }

    /// Change a file's attributes: those that are `Some`.
    struct Setattr {
        /// The inode.
        ino: INodeNo,
        /// New permissions, with the file's kind.
        mode: Option<u32>,
        /// New owner.
        uid: Option<u32>,
        /// New group.
        gid: Option<u32>,
        /// New size: `truncate(2)`.
        size: Option<u64>,
        /// New time of last access.
        atime: Option<TimeOrNow>,
        /// New time of last modification.
        mtime: Option<TimeOrNow>,
        /// New time of last change.
        ctime: Option<SystemTime>,
        /// The open file, where the caller named one (`ftruncate(2)`).
        fh: Option<FileHandle>,
        /// New time of creation (macOS).
        crtime: Option<SystemTime>,
        /// New time of last change (macOS).
        chgtime: Option<SystemTime>,
        /// New time of last backup (macOS).
        bkuptime: Option<SystemTime>,
        /// New file flags (macOS).
        flags: Option<BsdFileFlags>,
        /// Drop the set-uid bit, and the set-gid bit of a group-executable file. Told only after
        /// `FUSE_HANDLE_KILLPRIV_V2`.
        kill_suid_gid: bool,
    }
    decode(req, args) {
        let fixed: fuse_setattr_in = args.fixed()?;
        let given = |flag| fixed.valid & flag != 0;
        let time = |flag, now, secs: u64, nanos| {
            given(flag).then(|| {
                if given(now) {
                    TimeOrNow::Now
                } else {
                    TimeOrNow::SpecificTime(time_from_wire(secs as i64, nanos))
                }
            })
        };
        let mac = MacSetattr::of(&fixed);
        Self {
            req,
            ino: req.node(),
            mode: given(FATTR_MODE).then_some(fixed.mode),
            uid: given(FATTR_UID).then_some(fixed.uid),
            gid: given(FATTR_GID).then_some(fixed.gid),
            size: given(FATTR_SIZE).then_some(fixed.size),
            atime: time(FATTR_ATIME, FATTR_ATIME_NOW, fixed.atime, fixed.atimensec),
            mtime: time(FATTR_MTIME, FATTR_MTIME_NOW, fixed.mtime, fixed.mtimensec),
            ctime: given(FATTR_CTIME).then(|| time_from_wire(fixed.ctime as i64, fixed.ctimensec)),
            fh: given(FATTR_FH).then_some(FileHandle(fixed.fh)),
            crtime: mac.crtime,
            chgtime: mac.chgtime,
            bkuptime: mac.bkuptime,
            flags: mac.flags,
            kill_suid_gid: given(FATTR_KILL_SUIDGID),
        }
    }

    /// Get a file's attributes for `statx(2)`: those of [`Getattr`] and the time of birth.
    struct Statx {
        /// The inode.
        ino: INodeNo,
        /// The open file, where the caller named one.
        fh: Option<FileHandle>,
        /// `AT_STATX_*`.
        flags: u32,
        /// What the caller asks for.
        mask: StatxMask,
    }
    decode(req, args) {
        let fixed: fuse_statx_in = args.fixed()?;
        let fh = (fixed.getattr_flags & FUSE_GETATTR_FH != 0).then_some(FileHandle(fixed.fh));
        let mask = StatxMask::from_bits_retain(fixed.sx_mask);
        Self { req, ino: req.node(), fh, flags: fixed.sx_flags, mask }
    }

    /// Ask whether the caller may access a file: `access(2)`.
    struct Access {
        /// The inode.
        ino: INodeNo,
        /// What the caller wants to do.
        mask: AccessFlags,
    }
    decode(req, args) {
        let fixed: fuse_access_in = args.fixed()?;
        Self { req, ino: req.node(), mask: AccessFlags::from_bits_retain(fixed.mask as i32) }
    }

    /// Read where a symbolic link points.
    struct Readlink {
        /// The link.
        ino: INodeNo,
    }
    decode(req, args) { Self { req, ino: req.node() } }

    /// Get the filesystem's sizes.
    struct Statfs {
        /// An inode of the filesystem.
        ino: INodeNo,
    }
    decode(req, args) { Self { req, ino: req.node() } }

    /// Get the times of creation and backup (macOS).
    struct Getxtimes {
        /// The inode.
        ino: INodeNo,
    }
    decode(req, args) { Self { req, ino: req.node() } }
}

/// What only macOS sets.
#[derive(Default)]
struct MacSetattr {
    crtime: Option<SystemTime>,
    chgtime: Option<SystemTime>,
    bkuptime: Option<SystemTime>,
    flags: Option<BsdFileFlags>,
}

impl MacSetattr {
    #[cfg(not(target_os = "macos"))]
    fn of(_: &fuse_setattr_in) -> Self {
        Self::default()
    }

    #[cfg(target_os = "macos")]
    fn of(fixed: &fuse_setattr_in) -> Self {
        const FATTR_CRTIME: u32 = 1 << 28;
        const FATTR_CHGTIME: u32 = 1 << 29;
        const FATTR_BKUPTIME: u32 = 1 << 30;
        const FATTR_FLAGS: u32 = 1 << 31;
        let time = |flag, secs: u64, nanos| {
            (fixed.valid & flag != 0).then(|| time_from_wire(secs as i64, nanos))
        };
        Self {
            crtime: time(FATTR_CRTIME, fixed.crtime, fixed.crtimensec),
            chgtime: time(FATTR_CHGTIME, fixed.chgtime, fixed.chgtimensec),
            bkuptime: time(FATTR_BKUPTIME, fixed.bkuptime, fixed.bkuptimensec),
            flags: (fixed.valid & FATTR_FLAGS != 0)
                .then(|| BsdFileFlags::from_bits_retain(fixed.flags)),
        }
    }
}
