//! A plain request of every kind, as the kernel would send it.

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub code: u32,
    /// The fixed struct on Linux, in words of 4 bytes.
    pub fixed: &'static [u32],
    /// The names and data behind it.
    pub rest: &'static [u8],
}

/// The bytes of a request's header.
pub const HEADER: usize = 40;
pub const INIT: u32 = 26;
pub const DESTROY: u32 = 38;

/// Every request the library has a name for, those of macOS left out.
pub const REQUESTS: &[Row] = &[
    row(1, &[], b"name\0"),
    row(2, &[1, 0], b""),
    row(3, &[1, 0, 9, 0], b""),
    row(
        4,
        &[0x7f, 0, 9, 0, 12, 0, 0, 0, 100, 0, !0, !0, 300, 0, 1, 2, 3, 0o100644, 0, 1, 2, 0],
        b"",
    ),
    row(5, &[], b""),
    row(6, &[], b"name\0../target\0"),
    row(8, &[0o100644, 0, 0o22, 0], b"name\0"),
    row(9, &[0o755, 0o22], b"name\0"),
    row(10, &[], b"name\0"),
    row(11, &[], b"name\0"),
    row(12, &[1, 0], b"old\0new\0"),
    row(13, &[2, 0], b"name\0"),
    row(14, &[0x8002, 1], b""),
    row(15, &[9, 0, 0, 0, 64, 2, 7, 0, 0x8000, 0], b""),
    row(16, &[9, 0, 0, 0, 4, 2, 7, 0, 0x8001, 0], b"data"),
    row(17, &[], b""),
    row(18, &[9, 0, 0x8000, 3, 7, 0], b""),
    row(20, &[9, 0, 1, 0], b""),
    row(21, &[5, 1], b"user.name\0value"),
    row(22, &[255, 0], b"user.name\0"),
    row(23, &[255, 0], b""),
    row(24, &[], b"user.name\0"),
    row(25, &[9, 0, 0, 0, 7, 0], b""),
    row(
        INIT,
        &[],
        b"\x07\0\0\0\x2d\0\0\0\0\0\x02\0\xfb\xff\xff\x73\xfd\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
          \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    row(27, &[0x1_8800, 0], b""),
    row(28, &[9, 0, 0, 0, 4096, 0, 0, 0, 0, 0], b""),
    row(29, &[9, 0, 0x1_8800, 0, 0, 0], b""),
    row(30, &[9, 0, 1, 0], b""),
    row(31, &[9, 0, 7, 0, 10, 0, 20, 0, 1, 66, 0, 0], b""),
    row(32, &[9, 0, 7, 0, 10, 0, !0, !0, 2, 66, 0, 0], b""),
    row(33, &[9, 0, 7, 0, 0, 0, !0, !0, 0, 66, 1, 0], b""),
    row(34, &[5, 0], b""),
    row(35, &[0x8042, 0o100600, 0o77, 1], b"name\0"),
    row(36, &[0x55, 0], b""),
    row(37, &[5, 0, 512, 0], b""),
    row(DESTROY, &[], b""),
    row(39, &[9, 0, 0, 0xc008_6601, 0, 0, 4, 8], b"data"),
    row(40, &[9, 0, 15, 0, 1, 5], b""),
    row(41, &[0, 0, 4096, 0, 4, 0, 0, 0, 0, 0], b"data"),
    row(42, &[2, 0], b"\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0"),
    row(43, &[9, 0, 100, 0, 200, 0, 3, 0], b""),
    row(44, &[9, 0, 0, 0, 4096, 0, 0, 0, 0, 0], b""),
    row(45, &[1, 0, 1, 0], b"old\0new\0"),
    row(46, &[9, 0, 100, 0, 3, 0], b""),
    row(47, &[9, 0, 100, 0, 2, 0, 8, 0, 200, 0, 4096, 0, 0, 0], b""),
    row(48, &[9, 0, 0, 0, 4096, 0, 1, 0, 0, 0], b""),
    row(49, &[1], b"\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0"),
    row(50, &[0, 0], b""),
    row(51, &[0x41_8002, 0o100600, 0o22, 0], b"/\0"),
    row(52, &[1, 0, 9, 0, 0x2000, 0xfff], b""),
    row(53, &[9, 0, 100, 0, 2, 0, 8, 0, 200, 0, 4096, 1, 0, 0], b""),
    row(4096, &[7, 45, 0, 1], b""),
];

impl Row {
    /// The fixed struct's bytes.
    pub fn fixed_bytes(&self) -> Vec<u8> {
        self.fixed.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// The request in one piece.
    pub fn bytes(&self, unique: u64) -> Vec<u8> {
        request(self.code, unique, &[&self.fixed_bytes(), self.rest].concat())
    }
}

/// A request of user 1000 on the root.
pub fn request(code: u32, unique: u64, body: &[u8]) -> Vec<u8> {
    let len = (HEADER + body.len()) as u32;
    let ids = [1000u32, 100, 77, 0].map(u32::to_ne_bytes).concat();
    let head = [len.to_ne_bytes(), code.to_ne_bytes()].concat();
    [&head, &unique.to_ne_bytes()[..], &1u64.to_ne_bytes(), &ids, body].concat()
}

/// How long the fixed struct is of the operation in a request's header. `None` for what is no
/// operation.
pub(crate) fn fixed_len(header: &[u8], setxattr_ext: bool) -> Option<usize> {
    let code = code(header);
    let is_control = matches!(code, INIT | 36 | DESTROY | 41 | 48 | 49 | 4096);
    let row = REQUESTS.iter().find(|row| row.code == code && !is_control)?;
    Some(if code == 21 && setxattr_ext { 16 } else { row.fixed.len() * 4 })
}

/// The opcode in a whole header.
pub(crate) fn code(header: &[u8]) -> u32 {
    word(header, 4)
}

/// The word of 4 bytes at `at`, 0 if there is none.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u32::from_ne_bytes)
}

const fn row(code: u32, fixed: &'static [u32], rest: &'static [u8]) -> Row {
    Row { code, fixed, rest }
}
