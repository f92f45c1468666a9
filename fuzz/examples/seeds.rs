//! Writes the corpus made by hand: one input for each request and layout.
//!
//! `cargo run --example seeds` in this folder. Run it after adding a request; what the fuzzer found
//! stays.

use std::fs;
use std::io;
use std::path::Path;

use fuzz::requests::{HEADER, INIT, REQUESTS, request};

fn main() -> io::Result<()> {
    for row in REQUESTS {
        let whole = row.bytes(1);
        let contiguous = |options: u8| [&[options], &whole[..]].concat();
        let split = |options: u8| {
            let (header, body) = whole.split_at(HEADER);
            [&[options, row.fixed.len() as u8 * 4], header, body].concat()
        };
        let name = format!("request-{:04}", row.code);
        write("decode_contiguous", &name, &contiguous(0))?;
        write("decode_split", &name, &split(0))?;
        write("control", &format!("{name}-contiguous"), &contiguous(0))?;
        write("control", &format!("{name}-split"), &split(2))?;
        write("session", &name, &session(&[&INITS[0].1(), &whole]))?;
    }

    let long_setxattr = request(21, 1, b"\x05\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0user.name\0value");
    write("decode_contiguous", "setxattr-long", &[&[1], &long_setxattr[..]].concat())?;
    let (header, body) = long_setxattr.split_at(HEADER);
    write("decode_split", "setxattr-long", &[&[1, 16], header, body].concat())?;
    write("decode_contiguous", "crooked", &[&[4], &long_setxattr[..]].concat())?;

    for (name, init) in INITS {
        let plain = REQUESTS[0].bytes(1);
        write("session", &format!("init-{name}"), &session(&[&init(), &plain]))?;
        write("control", &format!("init-{name}"), &[&[0], &init()[..]].concat())?;
    }
    // At an odd offset the filesystem answers with more than was asked for, and here with all that
    // the ioctl was given.
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let read: Vec<u8> = words(&[9, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    let ioctl: Vec<u8> = words(&[9, 0, 0, 0, 0xc008_6601, 0, 0, 8, 4, 0, 0]);
    for (name, code, body) in [("read", 15, read), ("ioctl", 39, ioctl)] {
        let messages = [&INITS[0].1()[..], &request(code, 1, &body)];
        write("session", &format!("answer-too-long-{name}"), &session(&messages))?;
    }

    let mut all = vec![INITS[0].1()];
    all.extend(REQUESTS.iter().map(|row| row.bytes(row.code.into())));
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    write("session", "all", &session(&all))
}

/// A first message, and what to call it.
type First = (&'static str, fn() -> Vec<u8>);

/// First messages a session may be greeted with.
const INITS: &[First] = &[
    ("7-45", || init(&[7, 45, 0x2_0000, 0x73ff_fffb, 0x5fd], 64)),
    ("7-31", || init(&[7, 31, 0x2_0000, 0x03ff_fffb], 16)),
    ("7-19", || init(&[7, 19, 0x2_0000, 0x0007_fffb], 16)),
    ("7-18", || init(&[7, 18, 0x2_0000, 0], 16)),
    ("8-0", || init(&[8, 0], 8)),
    ("short", || init(&[7, 45], 8)),
    ("nothing", Vec::new),
    ("no-header", || vec![0; 8]),
    ("lookup-instead", || request(1, 1, b"name\0")),
    ("forget-instead", || request(2, 1, &[0; 8])),
];

fn init(words: &[u32], len: usize) -> Vec<u8> {
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    body.resize(len, 0);
    request(INIT, 1, &body)
}

fn session(messages: &[&[u8]]) -> Vec<u8> {
    let mut input = vec![0; 8];
    for message in messages {
        input.extend((message.len() as u16).to_le_bytes());
        input.extend_from_slice(message);
    }
    input
}

fn write(target: &str, name: &str, input: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), input)
}
