use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::types::{
    AccessFlags, CopyFileRangeFlags, Errno, FileHandle, INodeNo, InitFlags, IoctlFlags, LockOwner,
    OpenFlags, PollEvents, PollFlags, PollHandle, RenameFlags, RequestId, StatxMask, TimeOrNow,
    Version, WriteFlags,
};
use crate::wire::args::tests::Aligned;

#[test]
fn every_operation_and_every_control_has_a_case() {
    let mut unknown = String::new();
    let cases = cases();
    let tested: BTreeSet<u32> = cases.iter().map(|case| case.opcode.0).collect();
    for (code, name) in Opcode::OPERATIONS.iter().chain(Opcode::CONTROLS) {
        if !tested.contains(&code.0) {
            writeln!(unknown, "no case for {name}").unwrap();
        }
    }
    assert_eq!(unknown, "", "add one to `cases` for each new row of the table");
    let rows = Opcode::OPERATIONS.len() + Opcode::CONTROLS.len();
    assert_eq!(tested.len(), rows, "two rows with one number, or a case without a row");
}

#[test]
fn bytes_become_the_operation_in_both_layouts() {
    for case in cases() {
        let whole = case.request();
        let mut least = whole.clone();
        least.rest.truncate(whole.rest.len() - case.slack);
        for request in [whole, least] {
            every_way(&request, case.dialect, |way, args| {
                let result = (case.decode)(args);
                assert_eq!(result, Ok(()), "{:?}, {way}", case.opcode);
            });
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for case in cases() {
        let whole = case.request();
        for cut in every_cut(&whole, case.slack) {
            let (header, fixed, rest) = (&cut.header, &cut.fixed, &cut.rest);
            let where_cut = (case.opcode, header.len(), fixed.len(), rest.len());
            every_way(&cut, case.dialect, |way, args| {
                // In one piece, what is missing in the middle is made up for by what follows.
                if way == CONTIGUOUS && fixed.len() < whole.fixed.len() && !rest.is_empty() {
                    return;
                }
                let result = (case.decode)(args);
                assert!(
                    matches!(result, Err(DecodeError::Short | DecodeError::Unterminated)),
                    "{where_cut:?}, {way}: {result:?}"
                );
            });
        }
        let bytes = whole.contiguous();
        for len in 0..HEADER {
            let short = Aligned::new(&[&bytes.bytes()[..len]]);
            let contiguous = Args::contiguous(short.bytes(), case.dialect).map(|_| ());
            assert_eq!(contiguous, Err(DecodeError::Short));
            let split = Args::split(short.bytes(), &[0; 128], &whole.rest, case.dialect);
            assert_eq!(split.map(|_| ()), Err(DecodeError::Short));
        }
    }
}

#[test]
fn a_name_without_its_zero_is_an_error() {
    let mut names = 0;
    for case in cases() {
        for unterminated in 0..case.names.len() {
            let mut request = case.request();
            request.rest = terminated(&case.names[..unterminated]);
            request.rest.extend_from_slice(case.names[unterminated].as_bytes());
            every_way(&request, case.dialect, |way, args| {
                let result = (case.decode)(args);
                let what = (case.opcode, unterminated, way);
                assert_eq!(result, Err(DecodeError::Unterminated), "{what:?}");
            });
            names += 1;
        }
    }
    assert!(names >= 20, "only {names} names were tried");
}

#[test]
fn a_size_beyond_the_request_is_an_error() {
    // Where each operation says how much follows.
    for (opcode, at) in [
        (Opcode::WRITE, 16),
        (Opcode::SETXATTR, 0),
        (Opcode::IOCTL, 24),
        (Opcode::BATCH_FORGET, 0),
        (Opcode::NOTIFY_REPLY, 16),
        (Opcode::REMOVEMAPPING, 0),
    ] {
        let cases: Vec<_> = cases().into_iter().filter(|case| case.opcode == opcode).collect();
        assert!(!cases.is_empty());
        for case in cases {
            let said = u32::from_ne_bytes(case.fixed[at..at + 4].try_into().unwrap());
            for size in [said + 1, 1 << 28, i32::MAX as u32, 1 << 31, u32::MAX - 7, u32::MAX] {
                let mut request = case.request();
                request.fixed[at..at + 4].copy_from_slice(&size.to_ne_bytes());
                every_way(&request, case.dialect, |way, args| {
                    let result = (case.decode)(args);
                    assert_eq!(result, Err(DecodeError::Short), "{opcode:?} of {size}, {way}");
                });
            }
        }
    }
}

#[test]
fn offsets_and_lengths_beyond_a_signed_number_are_errors() {
    for (opcode, at) in [
        (Opcode::READ, 8),
        (Opcode::WRITE, 8),
        (Opcode::FALLOCATE, 8),
        (Opcode::FALLOCATE, 16),
        (Opcode::COPY_FILE_RANGE, 8),
        (Opcode::COPY_FILE_RANGE, 32),
        (Opcode::COPY_FILE_RANGE_64, 8),
        (Opcode::COPY_FILE_RANGE_64, 32),
    ] {
        let case = case_of(opcode);
        for offset in [1u64 << 63, u64::MAX] {
            let mut request = case.request();
            request.fixed[at..at + 8].copy_from_slice(&offset.to_ne_bytes());
            every_way(&request, case.dialect, |way, args| {
                let result = Operation::decode(args).map(|_| ());
                assert_eq!(result, Err(DecodeError::OutOfRange), "{opcode:?} at {at}, {way}");
            });
        }
    }
}

#[test]
fn hostile_bytes_are_decoded_or_refused() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut decoded, mut refused) = (0, 0);
    for case in cases() {
        for _ in 0..400 {
            let mut request = case.request();
            for bytes in [&mut request.fixed, &mut request.rest] {
                for byte in bytes.iter_mut() {
                    if random.below(4) == 0 {
                        *byte = random.byte();
                    }
                }
                let len = random.below(bytes.len() + 9);
                if random.below(3) == 0 {
                    bytes.resize(len, 0);
                }
            }
            let dialect = Dialect { setxattr_ext: random.below(2) == 0 };
            every_way(&request, dialect, |_, args| {
                let operation = Operation::decode(args.clone()).map(|op| format!("{op:?}"));
                let control = Control::decode(args).map(|op| format!("{op:?}"));
                assert!(operation.is_err() || control.is_err(), "both at once");
                match operation.or(control) {
                    Ok(_) => decoded += 1,
                    Err(_) => refused += 1,
                }
            });
        }
    }
    assert!(decoded > 1000 && refused > 1000, "{decoded} decoded, {refused} refused");
}

#[test]
fn what_is_not_in_the_table_is_unknown() {
    let known: BTreeSet<u32> =
        Opcode::OPERATIONS.iter().chain(Opcode::CONTROLS).map(|(code, _)| code.0).collect();
    let mut request = case_of(Opcode::LOOKUP).request();
    for code in (0..5000).chain([0x100_0000, 0x3400_0000, u32::MAX]) {
        if known.contains(&code) {
            continue;
        }
        request.header = header(Opcode(code));
        every_way(&request, Dialect::default(), |_, args| {
            assert_eq!(Operation::decode(args.clone()).map(|_| ()), Err(DecodeError::Unknown));
            assert_eq!(Control::decode(args).map(|_| ()), Err(DecodeError::Unknown));
        });
        assert_eq!(format!("{:?}", Opcode(code)), format!("OPCODE_{code}"));
    }
}

#[test]
fn a_request_is_either_an_operation_or_a_control() {
    for (code, name) in Opcode::CONTROLS {
        let case = case_of(*code);
        every_way(&case.request(), case.dialect, |_, args| {
            let result = Operation::decode(args).map(|_| ());
            assert_eq!(result, Err(DecodeError::Unknown), "{name}");
        });
    }
    for (code, name) in Opcode::OPERATIONS {
        let case = case_of(*code);
        every_way(&case.request(), case.dialect, |_, args| {
            let result = Control::decode(args).map(|_| ());
            assert_eq!(result, Err(DecodeError::Unknown), "{name}");
        });
    }
}

#[test]
#[cfg(not(target_os = "macos"))]
fn what_only_macos_asks_is_unknown_elsewhere() {
    for opcode in [Opcode::SETVOLNAME, Opcode::GETXTIMES, Opcode::EXCHANGE] {
        every_way(&case_of(opcode).request(), Dialect::default(), |way, args| {
            let result = Operation::decode(args).map(|_| ());
            assert_eq!(result, Err(DecodeError::Unknown), "{opcode:?}, {way}");
        });
    }
}

#[test]
fn opcodes_have_the_kernels_numbers_and_names() {
    for (code, number, name) in [
        (Opcode::LOOKUP, 1, "LOOKUP"),
        (Opcode::INIT, 26, "INIT"),
        (Opcode::SETLKW, 33, "SETLKW"),
        (Opcode::RENAME2, 45, "RENAME2"),
        (Opcode::SYNCFS, 50, "SYNCFS"),
        (Opcode::TMPFILE, 51, "TMPFILE"),
        (Opcode::STATX, 52, "STATX"),
        (Opcode::COPY_FILE_RANGE_64, 53, "COPY_FILE_RANGE_64"),
        (Opcode::CUSE_INIT, 4096, "CUSE_INIT"),
    ] {
        assert_eq!((code.0, format!("{code:?}").as_str()), (number, name));
    }
}

#[test]
fn four_requests_are_never_answered() {
    let silent: Vec<_> = Opcode::OPERATIONS
        .iter()
        .chain(Opcode::CONTROLS)
        .filter(|(code, _)| !code.is_answered())
        .map(|(_, name)| *name)
        .collect();
    assert_eq!(silent, ["FORGET", "BATCH_FORGET", "INTERRUPT", "NOTIFY_REPLY"]);
    assert!(Opcode(9999).is_answered());
}

#[test]
fn only_what_asks_for_data_limits_its_answer() {
    for (opcode, room) in [
        (Opcode::READ, 4096),
        (Opcode::READDIR, 4096),
        (Opcode::READDIRPLUS, 4096),
        (Opcode::GETXATTR, 255),
        (Opcode::LISTXATTR, 255),
        (Opcode::IOCTL, 16),
        (Opcode::READLINK, u32::MAX),
        (Opcode::GETATTR, u32::MAX),
    ] {
        every_way(&case_of(opcode).request(), Dialect::default(), |way, args| {
            assert_eq!(room_of(&Operation::decode(args).unwrap()), room, "{opcode:?}, {way}");
        });
    }

    fn room_of(operation: &Operation<'_>) -> u32 {
        match operation {
            Operation::Read(op) => op.room(),
            Operation::Readdir(op) => op.room(),
            Operation::Readdirplus(op) => op.room(),
            Operation::Getxattr(op) => op.room(),
            Operation::Listxattr(op) => op.room(),
            Operation::Ioctl(op) => op.room(),
            Operation::Readlink(op) => op.room(),
            Operation::Getattr(op) => op.room(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_operation_prints_its_caller_and_its_arguments() {
    let req = "req: Request { unique: 4886718345, opcode: 1, node: 258, uid: 1000, gid: 100, \
               pid: 77, .. }";
    every_way(&case_of(Opcode::LOOKUP).request(), Dialect::default(), |_, args| {
        let printed = format!("{:?}", Operation::decode(args).unwrap());
        let expected = format!("Lookup(Lookup {{ {req}, parent: INodeNo(258), name: \"name\" }})");
        assert_eq!(printed, expected);
    });
    every_way(&case_of(Opcode::DESTROY).request(), Dialect::default(), |_, args| {
        let printed = format!("{:?}", Control::decode(args).unwrap());
        let req = req.replace("opcode: 1,", "opcode: 38,");
        assert_eq!(printed, format!("Destroy(Destroy {{ {req} }})"));
    });
}

#[test]
fn an_operation_knows_its_method_and_its_caller() {
    for (opcode, method) in [
        (Opcode::LOOKUP, "lookup"),
        (Opcode::BATCH_FORGET, "batch_forget"),
        (Opcode::SETATTR, "setattr"),
        (Opcode::RENAME2, "rename"),
        (Opcode::SETLKW, "setlk"),
        (Opcode::COPY_FILE_RANGE_64, "copy_file_range"),
    ] {
        every_way(&case_of(opcode).request(), Dialect::default(), |_, args| {
            let operation = Operation::decode(args).unwrap();
            assert_eq!(operation.method(), method);
            assert_eq!(Opcode(operation.req().opcode()), opcode);
            assert_eq!(operation.req().uid(), 1000);
        });
    }
}

#[test]
fn a_broken_request_has_an_errno_and_words() {
    for (error, errno, word) in [
        (DecodeError::Short, Errno::EIO, "shorter"),
        (DecodeError::Unterminated, Errno::EIO, "name"),
        (DecodeError::Unaligned, Errno::EIO, "aligned"),
        (DecodeError::OutOfRange, Errno::EINVAL, "negative"),
        (DecodeError::Unknown, Errno::ENOSYS, "unknown"),
    ] {
        assert_eq!(error.errno(), errno, "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn setattr_has_what_its_bits_name_and_nothing_else() {
    let given = |bit: u32| {
        let setattr = |op: &Setattr<'_>| {
            let times = [op.atime.is_some(), op.mtime.is_some(), op.ctime.is_some()];
            let ids = [op.mode.is_some(), op.uid.is_some(), op.gid.is_some()];
            let [size, fh] = [op.size.is_some(), op.fh.is_some()];
            assert_eq!(
                (op.crtime, op.chgtime, op.bkuptime, op.flags),
                (None, None, None, None),
                "only macOS sets these"
            );
            (ids, size, times, fh, op.kill_suid_gid)
        };
        decoded_setattr(bit, |op| setattr(op))
    };
    let none = ([false; 3], false, [false; 3], false, false);
    for (bit, expected) in [
        (0, none),
        (1 << 0, ([true, false, false], false, [false; 3], false, false)),
        (1 << 1, ([false, true, false], false, [false; 3], false, false)),
        (1 << 2, ([false, false, true], false, [false; 3], false, false)),
        (1 << 3, ([false; 3], true, [false; 3], false, false)),
        (1 << 4, ([false; 3], false, [true, false, false], false, false)),
        (1 << 5, ([false; 3], false, [false, true, false], false, false)),
        (1 << 6, ([false; 3], false, [false; 3], true, false)),
        // The *_NOW bits and the lock owner say nothing on their own.
        (1 << 7, none),
        (1 << 8, none),
        (1 << 9, none),
        (1 << 10, ([false; 3], false, [false, false, true], false, false)),
        (1 << 11, ([false; 3], false, [false; 3], false, true)),
        (1 << 12, none),
    ] {
        assert_eq!(given(bit), expected, "bit {}", bit.trailing_zeros());
    }
}

#[test]
fn setattr_sets_a_time_or_now() {
    decoded_setattr(1 << 4 | 1 << 5 | 1 << 7, |op| {
        assert_eq!(op.atime, Some(TimeOrNow::Now));
        assert_eq!(op.mtime, Some(TimeOrNow::SpecificTime(before_1970(2, 999_999_999))));
    });
    decoded_setattr(1 << 4 | 1 << 5 | 1 << 8, |op| {
        assert_eq!(op.atime, Some(TimeOrNow::SpecificTime(before_1970(1, 500))));
        assert_eq!(op.mtime, Some(TimeOrNow::Now));
    });
}

#[test]
fn times_no_system_has_are_still_times() {
    for (secs, nanos) in [
        (i64::MIN, 0),
        (i64::MIN, u32::MAX),
        (i64::MAX, 999_999_999),
        (i64::MAX, u32::MAX),
        (0, u32::MAX),
    ] {
        let mut request = case_of(Opcode::SETATTR).request();
        for at in [32, 40, 48] {
            request.fixed[at..at + 8].copy_from_slice(&secs.to_ne_bytes());
        }
        for at in [56, 60, 64] {
            request.fixed[at..at + 4].copy_from_slice(&nanos.to_ne_bytes());
        }
        every_way(&request, Dialect::default(), |way, args| {
            let Ok(Operation::Setattr(op)) = Operation::decode(args) else { panic!("{way}") };
            assert!(op.atime.is_some() && op.mtime.is_some() && op.ctime.is_some());
        });
    }
}

#[test]
fn a_lock_owner_is_told_only_with_its_bit() {
    // The bit, and where it is; the owner's number is there all the same.
    for (opcode, at, bit) in
        [(Opcode::READ, 20, 1u32 << 1), (Opcode::WRITE, 20, 1 << 1), (Opcode::RELEASE, 12, 1 << 1)]
    {
        for (flags, expected) in [
            (bit, Some(LockOwner(0x77))),
            (!bit, None),
            (0, None),
            (u32::MAX, Some(LockOwner(0x77))),
        ] {
            let mut request = case_of(opcode).request();
            request.fixed[at..at + 4].copy_from_slice(&flags.to_ne_bytes());
            every_way(&request, Dialect::default(), |way, args| {
                let owner = match Operation::decode(args).unwrap() {
                    Operation::Read(op) => op.lock_owner,
                    Operation::Write(op) => op.lock_owner,
                    Operation::Release(op) => op.lock_owner,
                    other => panic!("{other:?}"),
                };
                assert_eq!(owner, expected, "{opcode:?} with {flags:#x}, {way}");
            });
        }
    }
}

#[test]
fn privileges_are_dropped_only_where_the_kernel_says_so() {
    for (opcode, at, bit) in
        [(Opcode::OPEN, 4, 1u32 << 0), (Opcode::CREATE, 12, 1 << 0), (Opcode::SETATTR, 0, 1 << 11)]
    {
        for (flags, expected) in [(bit, true), (!bit, false), (0, false), (u32::MAX, true)] {
            let mut request = case_of(opcode).request();
            request.fixed[at..at + 4].copy_from_slice(&flags.to_ne_bytes());
            every_way(&request, Dialect::default(), |way, args| {
                let kill = match Operation::decode(args).unwrap() {
                    Operation::Open(op) => op.kill_suid_gid,
                    Operation::Create(op) => op.kill_suid_gid,
                    Operation::Setattr(op) => op.kill_suid_gid,
                    other => panic!("{other:?}"),
                };
                assert_eq!(kill, expected, "{opcode:?} with {flags:#x}, {way}");
            });
        }
    }
}

#[test]
fn a_lock_waits_by_its_opcode_and_is_a_flock_by_its_bit() {
    for (opcode, waits) in [(Opcode::SETLK, false), (Opcode::SETLKW, true)] {
        for (flags, is_flock) in [(0u32, false), (1, true), (2, false), (3, true)] {
            let mut request = case_of(opcode).request();
            request.fixed[40..44].copy_from_slice(&flags.to_ne_bytes());
            every_way(&request, Dialect::default(), |way, args| {
                let Ok(Operation::Setlk(op)) = Operation::decode(args) else { panic!("{way}") };
                assert_eq!((op.sleep, op.flock), (waits, is_flock), "{opcode:?}, {flags}, {way}");
            });
        }
    }
}

#[test]
#[cfg(not(target_os = "macos"))]
fn setxattr_is_read_in_the_dialect_that_was_agreed_on() {
    // The long form read as the short one: the name begins with what was a flag.
    let long = cases()
        .into_iter()
        .find(|case| case.opcode == Opcode::SETXATTR && case.dialect.setxattr_ext)
        .expect("a case of the long form");
    let bytes = long.request().contiguous();
    let args = Args::contiguous(bytes.bytes(), Dialect::default()).unwrap();
    let Ok(Operation::Setxattr(op)) = Operation::decode(args) else { panic!("not decoded") };
    assert_ne!(op.name, "user.name");
    assert!(!op.acl_kill_sgid, "the short form has no room for it");
}

/// Decodes a request, and panics if it becomes something other than its case says.
type Decodes = fn(Args<'_>) -> Result<(), DecodeError>;

/// A request as literal bytes, and what it must become.
struct Case {
    opcode: Opcode,
    dialect: Dialect,
    fixed: Vec<u8>,
    names: &'static [&'static str],
    data: Vec<u8>,
    /// How many bytes at the end the operation can do without.
    slack: usize,
    decode: Decodes,
}

impl Case {
    fn request(&self) -> Request {
        let rest = [terminated(self.names), self.data.clone()].concat();
        Request { header: header(self.opcode), fixed: self.fixed.clone(), rest }
    }
}

/// A request in its three pieces.
#[derive(Clone)]
struct Request {
    header: Vec<u8>,
    fixed: Vec<u8>,
    rest: Vec<u8>,
}

impl Request {
    fn contiguous(&self) -> Aligned {
        Aligned::new(&[&self.header, &self.fixed, &self.rest])
    }
}

const CONTIGUOUS: &str = "in one piece";

/// Decodes a request as `/dev/fuse` sends it and as the ring does.
fn every_way(request: &Request, dialect: Dialect, mut check: impl FnMut(&str, Args<'_>)) {
    let bytes = request.contiguous();
    check(CONTIGUOUS, Args::contiguous(bytes.bytes(), dialect).unwrap());

    let (header, rest) = (Aligned::new(&[&request.header]), Aligned::new(&[&request.rest]));
    let args = Args::split(header.bytes(), &request.fixed, rest.bytes(), dialect);
    check("in three pieces", args.unwrap());
}

/// The request without its last bytes, at every length that must not do; then with a fixed struct
/// that is too short for its operation.
fn every_cut(whole: &Request, slack: usize) -> Vec<Request> {
    let rest = whole.rest.len().saturating_sub(slack);
    let without_rest = (0..rest).map(|len| (whole.fixed.len(), len));
    let without_fixed = (0..whole.fixed.len()).map(|len| (len, 0));
    let middle = (0..whole.fixed.len()).map(|len| (len, whole.rest.len()));
    without_rest
        .chain(without_fixed)
        .chain(middle)
        .map(|(fixed, rest)| Request {
            header: whole.header.clone(),
            fixed: whole.fixed[..fixed].to_vec(),
            rest: whole.rest[..rest].to_vec(),
        })
        .collect()
}

fn decoded_setattr<T>(valid: u32, check: impl Fn(&Setattr<'_>) -> T) -> T {
    let mut request = case_of(Opcode::SETATTR).request();
    request.fixed[..4].copy_from_slice(&valid.to_ne_bytes());
    let mut result = None;
    every_way(&request, Dialect::default(), |way, args| {
        let Ok(Operation::Setattr(op)) = Operation::decode(args) else { panic!("{way}") };
        result = Some(check(&op));
    });
    result.expect("two ways were tried")
}

fn case_of(opcode: Opcode) -> Case {
    cases().into_iter().find(|case| case.opcode == opcode).expect("every row has a case")
}

fn before_1970(secs: u64, nanos: u64) -> SystemTime {
    UNIX_EPOCH - Duration::from_secs(secs) + Duration::from_nanos(nanos)
}

fn terminated(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect()
}

fn header(opcode: Opcode) -> Vec<u8> {
    // len, opcode, unique, nodeid, uid, gid, pid, total_extlen and padding
    bytes![0u32, opcode.0, UNIQUE, NODE.0, 1000u32, 100u32, 77u32, 0u16, 0u16]
}

/// A generator of numbers that are random enough, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        // Mostly the bytes at the ends: they make sizes huge and names unterminated.
        match self.below(4) {
            0 => 0,
            1 => 0xff,
            _ => self.next() as u8,
        }
    }
}

const HEADER: usize = 40;
const UNIQUE: u64 = 0x1_2345_6789;
const NODE: INodeNo = INodeNo(0x102);

/// Numbers as the bytes they are in memory.
macro_rules! bytes {
    ($($number:expr),* $(,)?) => {{
        let parts: &[&[u8]] = &[$(&$number.to_ne_bytes()),*];
        parts.concat()
    }};
}
use bytes;

/// `CODE fixed [numbers] names [..] data [numbers] => Enum::Struct { every: field }`
///
/// Numbers have a type, and are the bytes they are in memory. A struct that gets a new field does
/// not compile here until its cases have it.
macro_rules! case {
    ($code:ident fixed [$($fixed:expr),*] names [$($name:literal),*] data [$($data:expr),*]
        => $kind:ident::$op:ident { $($field:ident: $value:expr),* $(,)? }) => {
        Case {
            opcode: Opcode::$code,
            dialect: Dialect::default(),
            fixed: bytes![$($fixed),*],
            names: &[$($name),*],
            data: bytes![$($data),*],
            slack: 0,
            decode: |args| {
                let decoded = $kind::decode(args)?;
                let $kind::$op($op { req, $($field),* }) = decoded else { panic!("{decoded:?}") };
                is_ours(req, Opcode::$code);
                $(assert_eq!($field, $value, "{} {}", stringify!($code), stringify!($field));)*
                Ok(())
            },
        }
    };
}

fn is_ours(req: &crate::types::Request, opcode: Opcode) {
    assert_eq!((req.unique(), req.node()), (RequestId(UNIQUE), NODE));
    assert_eq!((req.uid(), req.gid(), req.pid()), (1000, 100, 77));
    assert_eq!(Opcode(req.opcode()), opcode);
}

/// Every row of the table.
fn cases() -> Vec<Case> {
    [namespace_cases(), attr_cases(), file_cases(), rest_cases(), macos_cases(), control_cases()]
        .into_iter()
        .flatten()
        .collect()
}

fn namespace_cases() -> Vec<Case> {
    vec![
        case!(LOOKUP fixed [] names ["name"] data [] => Operation::Lookup {
            parent: NODE, name: "name",
        }),
        case!(FORGET fixed [7u64] names [] data [] => Operation::Forget { ino: NODE, nlookup: 7 }),
        Case {
            opcode: Opcode::BATCH_FORGET,
            dialect: Dialect::default(),
            fixed: bytes![2u32, 0u32],
            names: &[],
            data: bytes![3u64, 1u64, u64::MAX, 9u64],
            slack: 0,
            decode: |args| {
                let decoded = Operation::decode(args)?;
                let Operation::BatchForget(BatchForget { req, nodes }) = decoded else {
                    panic!("{decoded:?}")
                };
                is_ours(req, Opcode::BATCH_FORGET);
                let nodes: Vec<_> =
                    nodes.iter().map(|node| (node.nodeid(), node.nlookup())).collect();
                assert_eq!(nodes, [(INodeNo(3), 1), (INodeNo(u64::MAX), 9)]);
                Ok(())
            },
        },
        case!(MKNOD fixed [0o020644u32, 0x103u32, 0o022u32, 0u32] names ["name"] data []
        => Operation::Mknod {
            parent: NODE, name: "name", mode: 0o020644, umask: 0o022, rdev: 0x103,
        }),
        case!(MKDIR fixed [0o755u32, 0o027u32] names ["name"] data [] => Operation::Mkdir {
            parent: NODE, name: "name", mode: 0o755, umask: 0o027,
        }),
        case!(UNLINK fixed [] names ["name"] data [] => Operation::Unlink {
            parent: NODE, name: "name",
        }),
        case!(RMDIR fixed [] names ["name"] data [] => Operation::Rmdir {
            parent: NODE, name: "name",
        }),
        case!(SYMLINK fixed [] names ["name", "../to/it"] data [] => Operation::Symlink {
            parent: NODE, link_name: "name", target: Path::new("../to/it"),
        }),
        case!(RENAME fixed [5u64] names ["old", "new"] data [] => Operation::Rename {
            parent: NODE, name: "old", newparent: INodeNo(5), newname: "new",
            flags: RenameFlags::empty(),
        }),
        case!(RENAME2 fixed [5u64, 1u32, 0u32] names ["old", "new"] data [] => Operation::Rename {
            parent: NODE, name: "old", newparent: INodeNo(5), newname: "new",
            flags: RenameFlags::from_bits_retain(1),
        }),
        case!(LINK fixed [6u64] names ["name"] data [] => Operation::Link {
            ino: INodeNo(6), newparent: NODE, newname: "name",
        }),
    ]
}

fn attr_cases() -> Vec<Case> {
    let mut setattr = case!(SETATTR fixed [
            // valid, padding, fh, size, lock_owner
            0b1100_0111_1111u32, 0u32, 9u64, 12u64, 13u64,
            // atime, mtime, ctime and their nanoseconds
            -1i64, -2i64, 3i64, 500u32, 999_999_999u32, 4u32,
            // mode, unused, uid, gid, unused
            0o100640u32, 0u32, 21u32, 22u32, 0u32
        ] names [] data [] => Operation::Setattr {
            ino: NODE,
            mode: Some(0o100640),
            uid: Some(21),
            gid: Some(22),
            size: Some(12),
            atime: Some(TimeOrNow::SpecificTime(before_1970(1, 500))),
            mtime: Some(TimeOrNow::SpecificTime(before_1970(2, 999_999_999))),
            ctime: Some(UNIX_EPOCH + Duration::new(3, 4)),
            fh: Some(FileHandle(9)),
            crtime: None,
            chgtime: None,
            bkuptime: None,
            flags: None,
            kill_suid_gid: true,
    });
    let mut getxattr = case!(GETXATTR fixed [255u32, 0u32] names ["user.name"] data []
        => Operation::Getxattr { ino: NODE, name: "user.name", size: 255 });
    let mut listxattr = case!(LISTXATTR fixed [255u32, 0u32] names [] data []
        => Operation::Listxattr { ino: NODE, size: 255 });
    // macOS has longer ones.
    setattr.fixed.resize(size_of::<crate::abi::fuse_setattr_in>(), 0);
    getxattr.fixed.resize(size_of::<crate::abi::fuse_getxattr_in>(), 0);
    listxattr.fixed.resize(size_of::<crate::abi::fuse_getxattr_in>(), 0);
    vec![
        setattr,
        getxattr,
        listxattr,
        case!(GETATTR fixed [1u32, 0u32, 9u64] names [] data [] => Operation::Getattr {
            ino: NODE, fh: Some(FileHandle(9)),
        }),
        case!(GETATTR fixed [2u32, 0u32, 9u64] names [] data [] => Operation::Getattr {
            ino: NODE, fh: None,
        }),
        case!(STATX fixed [1u32, 0u32, 9u64, 0x2000u32, 0xfffu32] names [] data []
        => Operation::Statx {
            ino: NODE, fh: Some(FileHandle(9)), flags: 0x2000,
            mask: StatxMask::from_bits_retain(0xfff),
        }),
        case!(STATX fixed [0u32, 0u32, 9u64, 0u32, 0u32] names [] data [] => Operation::Statx {
            ino: NODE, fh: None, flags: 0, mask: StatxMask::empty(),
        }),
        case!(ACCESS fixed [5u32, 0u32] names [] data [] => Operation::Access {
            ino: NODE, mask: AccessFlags::R_OK | AccessFlags::X_OK,
        }),
        case!(READLINK fixed [] names [] data [] => Operation::Readlink { ino: NODE }),
        case!(STATFS fixed [] names [] data [] => Operation::Statfs { ino: NODE }),
        case!(REMOVEXATTR fixed [] names ["user.name"] data [] => Operation::Removexattr {
            ino: NODE, name: "user.name",
        }),
        #[cfg(not(target_os = "macos"))]
        case!(SETXATTR fixed [4u32, 1u32] names ["user.name"] data [0x0403_0201u32]
        => Operation::Setxattr {
            ino: NODE, name: "user.name", value: &0x0403_0201u32.to_ne_bytes(), flags: 1,
            position: 0, acl_kill_sgid: false,
        }),
        Case {
            dialect: Dialect { setxattr_ext: true },
            ..case!(SETXATTR fixed [4u32, 2u32, 1u32, 0u32] names ["user.name"]
            data [0x0403_0201u32] => Operation::Setxattr {
                ino: NODE, name: "user.name", value: &0x0403_0201u32.to_ne_bytes(), flags: 2,
                position: u32::from(cfg!(target_os = "macos")),
                acl_kill_sgid: cfg!(not(target_os = "macos")),
            })
        },
    ]
}

fn file_cases() -> Vec<Case> {
    vec![
        case!(OPEN fixed [0x8002u32, 1u32] names [] data [] => Operation::Open {
            ino: NODE, flags: OpenFlags(0x8002), kill_suid_gid: true,
        }),
        case!(CREATE fixed [0x8042u32, 0o100600u32, 0o077u32, 1u32] names ["name"] data []
        => Operation::Create {
            parent: NODE, name: "name", mode: 0o100600, umask: 0o077, flags: 0x8042,
            kill_suid_gid: true,
        }),
        // The kernel sends a name that means nothing.
        Case {
            slack: 2,
            data: b"/\0".to_vec(),
            ..case!(TMPFILE fixed [0x41_8002u32, 0o100600u32, 0o022u32, 0u32] names [] data []
            => Operation::Tmpfile {
                parent: NODE, mode: 0o100600, umask: 0o022, flags: 0x41_8002,
            })
        },
        case!(READ fixed [9u64, 8192u64, 4096u32, 2u32, 0x77u64, 0x8000u32, 0u32] names [] data []
        => Operation::Read {
            ino: NODE, fh: FileHandle(9), offset: 8192, size: 4096, flags: OpenFlags(0x8000),
            lock_owner: Some(LockOwner(0x77)),
        }),
        case!(WRITE fixed [9u64, 8192u64, 8u32, 3u32, 0x77u64, 0x8001u32, 0u32] names []
        data [0x0807_0605_0403_0201u64] => Operation::Write {
            ino: NODE, fh: FileHandle(9), offset: 8192,
            data: &0x0807_0605_0403_0201u64.to_ne_bytes(),
            write_flags: WriteFlags::from_bits_retain(3), flags: OpenFlags(0x8001),
            lock_owner: Some(LockOwner(0x77)),
        }),
        case!(FLUSH fixed [9u64, 0u32, 0u32, 0x77u64] names [] data [] => Operation::Flush {
            ino: NODE, fh: FileHandle(9), lock_owner: LockOwner(0x77),
        }),
        case!(RELEASE fixed [9u64, 0x8000u32, 3u32, 0x77u64] names [] data []
        => Operation::Release {
            ino: NODE, fh: FileHandle(9), flags: OpenFlags(0x8000),
            lock_owner: Some(LockOwner(0x77)), flush: true,
        }),
        case!(FSYNC fixed [9u64, 1u32, 0u32] names [] data [] => Operation::Fsync {
            ino: NODE, fh: FileHandle(9), datasync: true,
        }),
        case!(OPENDIR fixed [0x1_8800u32, 0u32] names [] data [] => Operation::Opendir {
            ino: NODE, flags: OpenFlags(0x1_8800),
        }),
        case!(READDIR fixed [9u64, u64::MAX, 4096u32, 0u32, 0u64, 0u32, 0u32] names [] data []
        => Operation::Readdir {
            ino: NODE, fh: FileHandle(9), offset: u64::MAX, size: 4096,
        }),
        case!(READDIRPLUS fixed [9u64, 3u64, 4096u32, 0u32, 0u64, 0u32, 0u32] names [] data []
            => Operation::Readdirplus { ino: NODE, fh: FileHandle(9), offset: 3, size: 4096 }),
        case!(RELEASEDIR fixed [9u64, 0x1_8800u32, 0u32, 0u64] names [] data []
        => Operation::Releasedir {
            ino: NODE, fh: FileHandle(9), flags: OpenFlags(0x1_8800),
        }),
        case!(FSYNCDIR fixed [9u64, 2u32, 0u32] names [] data [] => Operation::Fsyncdir {
            ino: NODE, fh: FileHandle(9), datasync: false,
        }),
        case!(SYNCFS fixed [0u64] names [] data [] => Operation::Syncfs { ino: NODE }),
        case!(FALLOCATE fixed [9u64, 100u64, 200u64, 3u32, 0u32] names [] data []
        => Operation::Fallocate {
            ino: NODE, fh: FileHandle(9), offset: 100, length: 200, mode: 3,
        }),
        case!(LSEEK fixed [9u64, -100i64, 4u32, 0u32] names [] data [] => Operation::Lseek {
            ino: NODE, fh: FileHandle(9), offset: -100, whence: 4,
        }),
        case!(COPY_FILE_RANGE fixed [9u64, 100u64, 7u64, 8u64, 200u64, 4096u64, 0u64] names []
        data [] => Operation::CopyFileRange {
            ino_in: NODE, fh_in: FileHandle(9), offset_in: 100,
            ino_out: INodeNo(7), fh_out: FileHandle(8), offset_out: 200,
            len: 4096, flags: CopyFileRangeFlags::empty(),
        }),
        case!(COPY_FILE_RANGE_64 fixed [9u64, 100u64, 7u64, 8u64, 200u64, 1u64 << 40, 0u64]
        names [] data [] => Operation::CopyFileRange {
            ino_in: NODE, fh_in: FileHandle(9), offset_in: 100,
            ino_out: INodeNo(7), fh_out: FileHandle(8), offset_out: 200,
            len: 1 << 40, flags: CopyFileRangeFlags::empty(),
        }),
    ]
}

fn rest_cases() -> Vec<Case> {
    vec![
        case!(GETLK fixed [9u64, 0x77u64, 10u64, 20u64, 1u32, 66u32, 0u32, 0u32] names [] data []
        => Operation::Getlk {
            ino: NODE, fh: FileHandle(9), lock_owner: LockOwner(0x77), start: 10, end: 20,
            typ: 1, pid: 66,
        }),
        case!(SETLK fixed [9u64, 0x77u64, 10u64, u64::MAX, 2u32, 66u32, 0u32, 0u32] names []
        data [] => Operation::Setlk {
            ino: NODE, fh: FileHandle(9), lock_owner: LockOwner(0x77), start: 10,
            end: u64::MAX, typ: 2, pid: 66, sleep: false, flock: false,
        }),
        case!(SETLKW fixed [9u64, 0x77u64, 0u64, u64::MAX, 0u32, 66u32, 1u32, 0u32] names []
        data [] => Operation::Setlk {
            ino: NODE, fh: FileHandle(9), lock_owner: LockOwner(0x77), start: 0,
            end: u64::MAX, typ: 0, pid: 66, sleep: true, flock: true,
        }),
        case!(BMAP fixed [5u64, 512u32, 0u32] names [] data [] => Operation::Bmap {
            ino: NODE, blocksize: 512, idx: 5,
        }),
        case!(IOCTL fixed [9u64, 1u32, 0xc010_6601u32, 0u64, 8u32, 16u32] names []
        data [0x0807_0605_0403_0201u64] => Operation::Ioctl {
            ino: NODE, fh: FileHandle(9), flags: IoctlFlags::from_bits_retain(1),
            cmd: 0xc010_6601, in_data: &0x0807_0605_0403_0201u64.to_ne_bytes(), out_size: 16,
        }),
        case!(POLL fixed [9u64, 15u64, 1u32, 5u32] names [] data [] => Operation::Poll {
            ino: NODE, fh: FileHandle(9), kh: PollHandle(15),
            events: PollEvents::from_bits_retain(5), flags: PollFlags::from_bits_retain(1),
        }),
    ]
}

/// What [`Operation`] has on macOS alone; the structs are decoded everywhere.
fn macos_cases() -> Vec<Case> {
    let case = |opcode, fixed, names, decode| {
        let (dialect, data) = (Dialect::default(), Vec::new());
        Case { opcode, dialect, fixed, names, data, slack: 0, decode }
    };
    vec![
        case(Opcode::SETVOLNAME, bytes![], &["volume"], |args| {
            let Setvolname { req, name } = Decode::decode(args)?;
            is_ours(req, Opcode::SETVOLNAME);
            assert_eq!(name, "volume");
            Ok(())
        }),
        case(Opcode::GETXTIMES, bytes![], &[], |args| {
            let Getxtimes { req, ino } = Decode::decode(args)?;
            is_ours(req, Opcode::GETXTIMES);
            assert_eq!(ino, NODE);
            Ok(())
        }),
        case(Opcode::EXCHANGE, bytes![4u64, 5u64, 6u64], &["one", "two"], |args| {
            let Exchange { req, parent, name, newparent, newname, options } = Decode::decode(args)?;
            is_ours(req, Opcode::EXCHANGE);
            assert_eq!((parent, newparent, options), (INodeNo(4), INodeNo(5), 6));
            assert_eq!((name, newname), ("one".as_ref(), "two".as_ref()));
            Ok(())
        }),
    ]
}

fn control_cases() -> Vec<Case> {
    vec![
        // What follows the upper flags is of later versions.
        Case {
            slack: 44,
            data: {
                let mut init = bytes![7u32, 45u32, 0x2_0000u32, 1u32 << 30 | 1, 0x5fdu32];
                init.resize(64, 0);
                init
            },
            ..case!(INIT fixed [] names [] data [] => Control::Init {
                version: Version(7, 45), max_readahead: 0x2_0000,
                flags: InitFlags::from_bits_retain(0x5fd_4000_0001),
            })
        },
        case!(INTERRUPT fixed [0x55u64] names [] data [] => Control::Interrupt {
            unique: RequestId(0x55),
        }),
        case!(DESTROY fixed [] names [] data [] => Control::Destroy {}),
        case!(NOTIFY_REPLY fixed [0u64, 4096u64, 8u32, 0u32, 0u64, 0u64] names []
        data [0x0807_0605_0403_0201u64] => Control::NotifyReply {
            ino: NODE, offset: 4096, data: &0x0807_0605_0403_0201u64.to_ne_bytes(),
        }),
        case!(SETUPMAPPING fixed [9u64, 1u64, 2u64, 3u64, 4u64] names [] data []
        => Control::SetupMapping {
            fh: FileHandle(9), foffset: 1, len: 2, flags: 3, moffset: 4,
        }),
        case!(REMOVEMAPPING fixed [2u32] names [] data [0u64, 4096u64, 8192u64, 4096u64]
            => Control::RemoveMapping { count: 2 }),
        case!(CUSE_INIT fixed [7u32, 45u32, 0u32, 1u32] names [] data [] => Control::CuseInit {
            version: Version(7, 45),
        }),
    ]
}
