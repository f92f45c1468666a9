//! The kernel's opcodes, and requests made of them.

#![allow(missing_docs, reason = "the opcodes have the kernel's names")]

/// Bodies to cut: of zeros, of ones, and with something that looks like names behind each
/// possible struct.
pub fn bodies() -> Vec<Vec<u8>> {
    let mut bodies = vec![vec![0; 136], vec![0xff; 136]];
    for fixed in [0, 8, 16] {
        bodies.push([&vec![0; fixed][..], b"one\0two\0three"].concat());
    }
    bodies
}

/// Numbers that are opcodes, may become opcodes, or never will.
pub fn opcodes() -> impl Iterator<Item = u32> {
    (0..=70).chain([4096, u32::MAX])
}

/// What a well-formed request of this opcode has behind its header.
pub fn valid(opcode: u32) -> Vec<u8> {
    let fixed = match opcode {
        LOOKUP | SYMLINK | UNLINK | RMDIR | READLINK | STATFS | REMOVEXATTR => 0,
        MKDIR | RENAME | LINK | OPEN | OPENDIR | ACCESS | SYNCFS | GETXATTR | LISTXATTR
        | SETXATTR => 8,
        GETATTR | MKNOD | FSYNC | FSYNCDIR | CREATE | TMPFILE | BMAP | RENAME2 => 16,
        // With FUSE_SETXATTR_EXT it is longer; zeros fit both.
        STATX | RELEASE | RELEASEDIR | FLUSH | POLL | LSEEK => 24,
        IOCTL | FALLOCATE => 32,
        READ | READDIR | READDIRPLUS | WRITE => 40,
        GETLK | SETLK | SETLKW => 48,
        COPY_FILE_RANGE | COPY_FILE_RANGE_64 => 56,
        SETATTR => 88,
        _ => panic!("no operation has the opcode {opcode}"),
    };
    let mut body = vec![0; fixed];
    match opcode {
        LOOKUP | UNLINK | RMDIR | MKDIR | MKNOD | LINK | CREATE | REMOVEXATTR | SETXATTR
        | GETXATTR => body.extend(b"name\0"),
        RENAME | RENAME2 | SYMLINK => body.extend(b"name\0other\0"),
        _ => {}
    }
    body
}

/// These bytes as words.
pub fn words(body: &[u8]) -> Vec<u32> {
    body.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().expect("four"))).collect()
}

/// These words as bytes.
pub fn words_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The same numbers every time.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next one below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// So many random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Every operation that is answered.
pub const ANSWERED: &[u32] = &[
    LOOKUP,
    GETATTR,
    SETATTR,
    READLINK,
    SYMLINK,
    MKNOD,
    MKDIR,
    UNLINK,
    RMDIR,
    RENAME,
    LINK,
    OPEN,
    READ,
    WRITE,
    STATFS,
    RELEASE,
    FSYNC,
    SETXATTR,
    GETXATTR,
    LISTXATTR,
    REMOVEXATTR,
    FLUSH,
    OPENDIR,
    READDIR,
    RELEASEDIR,
    FSYNCDIR,
    GETLK,
    SETLK,
    SETLKW,
    ACCESS,
    CREATE,
    BMAP,
    IOCTL,
    POLL,
    FALLOCATE,
    READDIRPLUS,
    RENAME2,
    LSEEK,
    COPY_FILE_RANGE,
    SYNCFS,
    TMPFILE,
    STATX,
    COPY_FILE_RANGE_64,
];

/// The notification that asks for what is cached.
pub const RETRIEVE: i32 = 5;

pub const LOOKUP: u32 = 1;
pub const FORGET: u32 = 2;
pub const GETATTR: u32 = 3;
pub const SETATTR: u32 = 4;
pub const READLINK: u32 = 5;
pub const SYMLINK: u32 = 6;
pub const MKNOD: u32 = 8;
pub const MKDIR: u32 = 9;
pub const UNLINK: u32 = 10;
pub const RMDIR: u32 = 11;
pub const RENAME: u32 = 12;
pub const LINK: u32 = 13;
pub const OPEN: u32 = 14;
pub const READ: u32 = 15;
pub const WRITE: u32 = 16;
pub const STATFS: u32 = 17;
pub const RELEASE: u32 = 18;
pub const FSYNC: u32 = 20;
pub const SETXATTR: u32 = 21;
pub const GETXATTR: u32 = 22;
pub const LISTXATTR: u32 = 23;
pub const REMOVEXATTR: u32 = 24;
pub const FLUSH: u32 = 25;
pub const INIT: u32 = 26;
pub const OPENDIR: u32 = 27;
pub const READDIR: u32 = 28;
pub const RELEASEDIR: u32 = 29;
pub const FSYNCDIR: u32 = 30;
pub const GETLK: u32 = 31;
pub const SETLK: u32 = 32;
pub const SETLKW: u32 = 33;
pub const ACCESS: u32 = 34;
pub const CREATE: u32 = 35;
pub const INTERRUPT: u32 = 36;
pub const BMAP: u32 = 37;
pub const DESTROY: u32 = 38;
pub const IOCTL: u32 = 39;
pub const POLL: u32 = 40;
pub const NOTIFY_REPLY: u32 = 41;
pub const BATCH_FORGET: u32 = 42;
pub const FALLOCATE: u32 = 43;
pub const READDIRPLUS: u32 = 44;
pub const RENAME2: u32 = 45;
pub const LSEEK: u32 = 46;
pub const COPY_FILE_RANGE: u32 = 47;
pub const SYNCFS: u32 = 50;
pub const TMPFILE: u32 = 51;
pub const STATX: u32 = 52;
pub const COPY_FILE_RANGE_64: u32 = 53;
