//! The duty to answer one request, exactly once: what the replies of both faces come to.

use std::ops::Deref;
use std::time::Duration;

use nix::libc;
use zerocopy::IntoBytes;

use crate::answer::{self, CreatedBody};
use crate::op::Opcode;
use crate::transport::{Abandoned, Port};
use crate::types::{Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo, Request};
use crate::wire::Message;
use crate::wire::dirents::looked_up;

/// The duty to answer one request.
///
/// An answer consumes it; dropped, it answers `EIO`, so that no caller waits for ever. `P` is the
/// way to the kernel: shared by replies that may outlive their method, borrowed elsewhere.
#[derive(Debug)]
pub(crate) struct Duty<P: Deref<Target = Port>> {
    /// Taken by the answer.
    port: Option<P>,
    unique: u64,
    node: u64,
    opcode: Opcode,
    /// How many bytes of data the caller has room for.
    room: u32,
    /// Whether anybody waits for the answer.
    is_heard: bool,
}

impl<P: Deref<Target = Port>> Duty<P> {
    #[inline]
    pub(crate) fn new(req: &Request, room: u32, port: P) -> Self {
        Self::with(req, room, Some(port))
    }

    /// A duty that nobody waits for: whatever the answer, it is not sent.
    pub(crate) fn unheard(req: &Request) -> Self {
        Self::with(req, u32::MAX, None)
    }

    /// A duty whose caller has been answered already: what is opened now is nobody's.
    #[cfg(feature = "async")]
    pub(crate) fn late(req: &Request, room: u32, port: P) -> Self {
        let mut duty = Self::with(req, room, Some(port));
        duty.is_heard = false;
        duty
    }

    #[inline]
    fn with(req: &Request, room: u32, port: Option<P>) -> Self {
        Self {
            port,
            unique: req.unique().0,
            node: req.node().0,
            opcode: Opcode(req.opcode()),
            room,
            is_heard: true,
        }
    }

    pub(crate) fn room(&self) -> u32 {
        self.room
    }

    pub(crate) fn port(&self) -> Option<&P> {
        self.port.as_ref()
    }

    #[inline]
    pub(crate) fn ok(self, body: &[u8]) {
        self.parts([body, &[], &[]]);
    }

    pub(crate) fn error(mut self, errno: Errno) {
        let _ = self.send(&Message::error(self.unique, errno));
    }

    /// Answers with `data` behind `fixed`, unless it is more than there is room for.
    #[inline]
    pub(crate) fn data(self, fixed: &[u8], data: &[u8]) {
        if self.has_room(data.len()) {
            self.parts([fixed, data, &[]]);
        } else {
            self.error(Errno::EIO);
        }
    }

    fn has_room(&self, len: usize) -> bool {
        let has_room = len <= self.room as usize;
        if !has_room {
            log::error!(
                "{:?} of inode {}: an answer of {len} bytes to a caller with room for {} is refused",
                self.opcode,
                self.node,
                self.room
            );
        }
        has_room
    }

    /// Answers with a listing for READDIRPLUS, whose entries count as lookups.
    pub(crate) fn listing_plus(mut self, listing: &[u8]) {
        if !self.has_room(listing.len()) {
            return self.error(Errno::EIO);
        }
        if let Err(port) = self.send(&Message::reply(self.unique, [listing, &[], &[]])) {
            for ino in looked_up(listing) {
                port.shared().abandon(Abandoned::Lookup { ino });
            }
        }
    }

    /// Answers with a directory entry, which counts as a lookup of `ino`.
    pub(crate) fn entry(mut self, ino: INodeNo, body: &[u8]) {
        if let Err(port) = self.send(&Message::reply(self.unique, [body, &[], &[]])) {
            port.shared().abandon(Abandoned::Lookup { ino: ino.0 });
        }
    }

    /// Answers with an open file.
    pub(crate) fn opened(mut self, fh: FileHandle, flags: FopenFlags, backing: Option<u32>) {
        let open = answer::opened(fh, flags, backing);
        if let Err(port) = self.send(&Message::reply(self.unique, [open.as_bytes(), &[], &[]])) {
            let directory = self.opcode == Opcode::OPENDIR;
            port.shared().abandon(Abandoned::Open { ino: self.node, fh: fh.0, directory });
        }
    }

    /// Answers with a new file that is open.
    pub(crate) fn created(
        mut self,
        [entry_ttl, attr_ttl]: [&Duration; 2],
        attr: &FileAttr,
        generation: Generation,
        fh: FileHandle,
        flags: FopenFlags,
        backing: Option<u32>,
    ) {
        let created = CreatedBody {
            entry: answer::entry(entry_ttl, attr_ttl, attr, generation),
            open: answer::opened(fh, flags, backing),
        };
        if let Err(port) = self.send(&Message::reply(self.unique, [created.as_bytes(), &[], &[]])) {
            // The request names the directory; what is open is the new file.
            let ino = attr.ino.0;
            port.shared().abandon(Abandoned::Open { ino, fh: fh.0, directory: false });
            port.shared().abandon(Abandoned::Lookup { ino });
        }
    }

    /// Answers with how much was written or copied.
    pub(crate) fn written(self, bytes: u64) {
        if self.opcode == Opcode::COPY_FILE_RANGE_64 {
            self.ok(answer::copied(bytes).as_bytes());
        } else {
            let size = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.ok(answer::written(size).as_bytes());
        }
    }

    /// Answers with how large a value is, which is what a caller without room asks for.
    pub(crate) fn xattr_size(self, size: u32) {
        match self.room {
            0 => self.ok(answer::xattr_size(size).as_bytes()),
            room if size > room => self.error(Errno::ERANGE),
            // The caller wants the value, and this would be taken for it.
            _ => {
                log::error!("{:?}: a size where the value was asked for", self.opcode);
                self.error(Errno::EIO);
            }
        }
    }

    /// Answers with a value, with its size, or that there is no room for it.
    pub(crate) fn xattr(self, value: &[u8]) {
        match self.room as usize {
            0 => self.xattr_size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
            room if value.len() > room => self.error(Errno::ERANGE),
            _ => self.ok(value),
        }
    }

    /// An answer the kernel refuses has been logged by then.
    #[inline]
    fn parts(mut self, parts: [&[u8]; 3]) {
        let _ = self.send(&Message::reply(self.unique, parts));
    }

    /// Sends the answer, unless one was sent. Gives the port back if nobody got the answer.
    fn send(&mut self, message: &Message<'_>) -> Result<(), P> {
        let Some(port) = self.port.take() else { return Ok(()) };
        if !self.is_heard {
            return Err(port);
        }
        let Err(error) = port.send(message) else { return Ok(()) };
        match error.raw_os_error() {
            // The caller was killed, or the connection is over.
            Some(libc::ENOENT | libc::ENODEV) => {
                log::debug!("{:?} of inode {}: nobody waits for it", self.opcode, self.node);
            }
            _ => {
                log::error!(
                    "{:?} of inode {}: the kernel refused the answer ({error}), it gets EIO",
                    self.opcode,
                    self.node
                );
                if let Err(error) = port.send(&Message::error(self.unique, Errno::EIO)) {
                    log::error!("and it refused that: {error}");
                }
            }
        }
        Err(port)
    }
}

impl<P: Deref<Target = Port>> Drop for Duty<P> {
    #[inline]
    fn drop(&mut self) {
        if self.port.is_some() && self.is_heard {
            log::warn!("{:?} of inode {} was not answered: EIO", self.opcode, self.node);
            let _ = self.send(&Message::error(self.unique, Errno::EIO));
        }
    }
}
