//! A socket that stands for the kernel.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, recv, setsockopt, socketpair, sockopt,
};
use nix::unistd::{read, write};

use crate::opcode::*;

/// The kernel's end of a connection whose other end a session takes for `/dev/fuse`.
///
/// It is a socket that keeps the boundaries of messages, as the device does. Dropping it is the end
/// of the connection.
#[derive(Debug)]
pub struct Kernel {
    socket: OwnedFd,
    next: AtomicU64,
}

/// What a session wrote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The number of the request it answers; 0 for a notification.
    pub unique: u64,
    /// 0, an errno, or a notification's code: as positive as it is.
    pub error: i32,
    /// What follows the header.
    pub body: Vec<u8>,
}

impl Kernel {
    /// A connection: the kernel's end, and the one for the session.
    #[track_caller]
    pub fn connect() -> (Self, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .expect("a pair of sockets");
        for socket in [&ours, &theirs] {
            let set = setsockopt(socket, sockopt::SndBufForce, &(8 << 20))
                .and_then(|()| setsockopt(socket, sockopt::RcvBufForce, &(8 << 20)));
            set.expect("larger socket buffers: the tests have to run as root");
        }
        (Self { socket: ours, next: AtomicU64::new(2) }, theirs)
    }

    /// Sends a request on behalf of root, and returns its number.
    #[track_caller]
    pub fn send(&self, opcode: u32, node: u64, body: &[u8]) -> u64 {
        self.send_as(0, opcode, node, body)
    }

    /// Sends a request on behalf of this user, and returns its number.
    #[track_caller]
    pub fn send_as(&self, uid: u32, opcode: u32, node: u64, body: &[u8]) -> u64 {
        let unique = self.next.fetch_add(2, Ordering::Relaxed);
        self.send_bytes(&request(opcode, unique, node, uid, body));
        unique
    }

    /// Sends these bytes as one message.
    #[track_caller]
    pub fn send_bytes(&self, bytes: &[u8]) {
        let sent = write(&self.socket, bytes).expect("a message to the session");
        assert_eq!(sent, bytes.len(), "a message is sent whole");
    }

    /// The next message. Panics if none comes within half a minute, if it is not well-formed, or if
    /// the session has closed its end.
    #[track_caller]
    pub fn receive(&self) -> Reply {
        self.receive_within(PATIENCE).expect("a message from the session")
    }

    /// The next message if it comes within so many milliseconds.
    #[track_caller]
    pub fn receive_within(&self, milliseconds: u16) -> Option<Reply> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, PollTimeout::from(milliseconds)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
        let mut bytes = vec![0; 4 << 20];
        let mut received = read(&self.socket, &mut bytes);
        if received == Err(Errno::ECONNRESET) {
            // Said once, by a session that closed its end without having read everything.
            received = read(&self.socket, &mut bytes);
        }
        let len = received.expect("a message from the session");
        assert_ne!(len, 0, "the session has closed its end");
        assert!(len >= 16, "a message of {len} bytes has no header");
        let word = |at: usize| <[u8; 4]>::try_from(&bytes[at..at + 4]).expect("four bytes");
        assert_eq!(u32::from_ne_bytes(word(0)) as usize, len, "the length in the header");
        let unique = u64::from_ne_bytes(bytes[8..16].try_into().expect("eight bytes"));
        let error = i32::from_ne_bytes(word(4));
        assert!(unique == 0 || (-511..=0).contains(&error), "no kernel takes the error {error}");
        Some(Reply { unique, error: error.abs(), body: bytes[16..len].to_vec() })
    }

    /// The next message, if one is there: also one that was sent before the session closed its end.
    #[track_caller]
    pub fn receive_if_any(&self) -> Option<Reply> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let polled = poll(&mut fds, PollTimeout::ZERO).expect("poll");
        let mut length = [0; 4];
        let flags = MsgFlags::MSG_PEEK;
        let there = polled == 1 && recv(self.socket.as_raw_fd(), &mut length, flags) == Ok(4);
        there.then(|| self.receive())
    }

    /// Sends these bytes as one message, unless the session has closed its end.
    pub fn send_if_open(&self, bytes: &[u8]) {
        match write(&self.socket, bytes) {
            Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => {}
            Err(error) => panic!("a message to the session: {error}"),
        }
    }

    /// Whether the session has closed its end. Waits for that for half a minute.
    #[track_caller]
    pub fn is_closed(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll");
        polled == 1 && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    /// Sends a request, and returns its answer: the next message has to be that.
    #[track_caller]
    pub fn ask(&self, opcode: u32, node: u64, body: &[u8]) -> Reply {
        self.ask_as(0, opcode, node, body)
    }

    /// As [`ask`](Self::ask), on behalf of this user.
    #[track_caller]
    pub fn ask_as(&self, uid: u32, opcode: u32, node: u64, body: &[u8]) -> Reply {
        let unique = self.send_as(uid, opcode, node, body);
        let reply = self.receive();
        assert_eq!(reply.unique, unique, "the answer to another request: {reply:?}");
        reply
    }

    /// The answer to a request, and to nothing else: of those that must have none, that there is none.
    #[track_caller]
    pub fn expect_one_answer(&self, opcode: u32, unique: u64, what: &str) -> Option<Reply> {
        // The next to be served is this. No answer can come after its, but one that is long, which
        // another thread may copy.
        let fence = self.send(STATFS, 1, &[]);
        let answered = ![FORGET, BATCH_FORGET, INTERRUPT, NOTIFY_REPLY].contains(&opcode);
        let mut replies: Vec<_> = (0..=usize::from(answered)).map(|_| self.receive()).collect();
        let at = replies.iter().position(|reply| reply.unique == fence);
        let may_be_long =
            [READ, READDIR, READDIRPLUS, GETXATTR, LISTXATTR, IOCTL].contains(&opcode);
        let is_last = at.is_some_and(|at| at + 1 == replies.len());
        assert!(is_last || may_be_long, "opcode {opcode}, {what}: {replies:?}");
        let last = at.map(|at| replies.remove(at));
        let said = format!("opcode {opcode}, {what}: {replies:?}, {last:?}");
        assert!(last.is_some_and(|last| last.error == 0), "{said}");
        assert!(replies.iter().all(|reply| reply.unique == unique), "{said}");
        replies.pop()
    }

    /// Begins the connection as Linux does, at this minor version of the protocol.
    #[track_caller]
    pub fn init(&self, minor: u32) -> Reply {
        self.ask(26, 0, &Self::init_body(7, minor, u32::MAX, u32::MAX))
    }

    /// What an INIT of this version says, with these bits of flags: as long as that version has it.
    pub fn init_body(major: u32, minor: u32, flags: u32, flags2: u32) -> Vec<u8> {
        let has_flags2 = minor >= 36;
        let flags = if has_flags2 { flags } else { flags & !INIT_EXT };
        let mut words = vec![major, minor, 128 << 10, flags];
        if has_flags2 {
            // Without io_uring, which is switched off nearly everywhere.
            words.push(flags2);
            words.resize(16, 0);
        }
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }
}

/// A request as the kernel writes it.
pub fn request(opcode: u32, unique: u64, node: u64, uid: u32, body: &[u8]) -> Vec<u8> {
    let len = (40 + body.len()) as u32;
    let mut bytes = Vec::with_capacity(len as usize);
    bytes.extend(len.to_ne_bytes());
    bytes.extend(opcode.to_ne_bytes());
    bytes.extend(unique.to_ne_bytes());
    bytes.extend(node.to_ne_bytes());
    // uid, gid, pid, and no extensions.
    bytes.extend([uid, uid, 4242, 0].into_iter().flat_map(u32::to_ne_bytes));
    bytes.extend(body);
    bytes
}

/// How many milliseconds a message may take to come.
const PATIENCE: u16 = 30_000;

/// `FUSE_INIT_EXT`: there are more than 32 flags.
const INIT_EXT: u32 = 1 << 30;
