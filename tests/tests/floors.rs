//! Who may import whom in `async-fuser`.
//!
//! The crate is a house: a room, which is a file or a folder of `async-fuser/src`, imports from its
//! own floor and from below. Here is every room with the rooms it may import from, lowest first, so
//! that the list itself cannot have a circle:
//!
//! - `abi` is what the kernel's header says, `types` the values made of it: neither knows a message.
//! - `wire` turns bytes into arguments and answers into bytes; `op` is the operations there are;
//!   `answer` the bodies of answers. All of these are pure: no descriptor, no thread, no clock.
//! - `transport` carries buffers and messages: of `wire` it knows the `Message` and nothing else,
//!   and it has never heard of an operation.
//! - `mount` is a tool of its own: it makes a descriptor out of a directory, and knows no other room.
//! - `spare` keeps memory for the next answer.
//! - `notifier`, `duty` and `reply` are what a filesystem sends by: they have a door to `transport`, as
//!   they send themselves. Of `op` a duty knows the `Opcode`, for what it logs.
//! - `filesystem` is the sync trait; `dispatch` goes from an operation to its method, and hands the
//!   transport on without a look inside.
//! - `async_filesystem` is the asynchronous trait, whose answers are values; `serve` goes from an
//!   operation to its method, `outcome` from its answer to the duty.
//! - `session` brings the sync face together, and `async_session`, beside it, the asynchronous one with
//!   what both begin and end by. `convert` is what methods of the attribute macro take and return,
//!   `lib_async` has the names, and `experimental` stands on the sync trait.
//!
//! `lib.rs` is the roof: it may import anything, and nobody imports from it.
//!
//! And no room but those listed below has `unsafe` in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, what it may import from, and of which of these only some items.
const ROOMS: &[(&str, &[&str])] = &[
    ("abi", &[]),
    ("types", &["abi"]),
    ("wire", &["abi", "types"]),
    ("op", &["abi", "types", "wire"]),
    ("spare", &[]),
    ("answer", &["abi", "types", "wire::dirents", "op", "spare"]),
    ("transport", &["abi", "wire::Message"]),
    ("mount", &["transport::is_connected"]),
    ("notifier", &["types", "wire", "transport"]),
    ("duty", &["types", "wire::Message", "wire::dirents", "op::Opcode", "answer", "transport"]),
    ("reply", &["types", "wire::dirents", "answer", "spare", "transport", "duty"]),
    ("filesystem", &["types", "wire::init", "notifier", "reply"]),
    ("async_filesystem", &["types", "wire::init", "op", "answer"]),
    ("outcome", &["answer", "transport", "duty"]),
    ("serve", &["types", "wire::init", "op", "answer", "async_filesystem", "outcome"]),
    ("dispatch", &["op", "transport", "notifier", "reply", "filesystem"]),
    (
        "session",
        &[
            "abi",
            "types",
            "wire",
            "op",
            "transport",
            "mount",
            "notifier",
            "reply",
            "filesystem",
            "dispatch",
        ],
    ),
    (
        "async_session",
        &[
            "abi",
            "types",
            "wire",
            "op",
            "transport",
            "mount",
            "notifier",
            "duty",
            "outcome",
            "serve",
            "session",
        ],
    ),
    (
        "convert",
        &[
            "types",
            "wire::init",
            "op",
            "answer",
            "transport::BackingId",
            "async_filesystem",
            "async_session",
        ],
    ),
    ("lib_async", &["answer", "async_filesystem", "outcome", "serve", "async_session"]),
    ("experimental", &["types", "reply", "filesystem"]),
];

/// The files that may have `unsafe` in them, and how often they say so.
const UNSAFE: &[(&str, usize)] = &[
    // Calls into the C library.
    ("mount/libfuse.rs", 1),
    // Descriptors that arrive as numbers, and `statx`.
    ("mount/syscall.rs", 1),
    // fuser's public `unsafe fn wrap_backing`, on two replies.
    ("reply.rs", 2),
    // The new mount interface, to look into the control filesystem.
    ("transport/abort.rs", 1),
    // The device's ioctls.
    ("transport/device.rs", 1),
];

#[test]
fn every_room_imports_from_its_own_floor_and_from_below() {
    let mut faults = Vec::new();
    let mut used = BTreeMap::<_, bool>::new();
    for file in files() {
        let module = module(&file);
        let Some(room) = module.first() else { continue };
        // Tests in a file of their own stand outside: they use what is public.
        if module.last().is_some_and(|name| name == "tests") {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else {
            faults.push(format!("{}: room '{room}' is on no floor: give it one", file.display()));
            continue;
        };
        for import in imports(&code(&file), module.len()) {
            if import.first() == Some(room) {
                continue;
            }
            let rule = allowed.iter().find(|rule| {
                rule.split("::").zip(&import).all(|(word, found)| word == found)
                    && rule.split("::").count() <= import.len()
            });
            match rule {
                Some(rule) => drop(used.insert((room.clone(), *rule), true)),
                None => faults.push(format!(
                    "{}: '{}' is not for '{room}', which may import from {allowed:?}",
                    file.display(),
                    import.join("::"),
                )),
            }
        }
    }
    for (room, allowed) in ROOMS {
        for rule in *allowed {
            if !used.contains_key(&((*room).to_owned(), *rule)) {
                faults.push(format!("'{room}' imports nothing from '{rule}': take the rule away"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_floors_have_no_circle() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for rule in *allowed {
            let below = rule.split("::").next().expect("a name");
            assert!(
                ROOMS[..at].iter().any(|(name, _)| *name == below),
                "'{room}' may import from '{below}', which is not below it"
            );
        }
    }
}

#[test]
fn every_room_is_there() {
    let there: Vec<_> = files().iter().filter_map(|file| module(file).first().cloned()).collect();
    for (room, _) in ROOMS {
        assert!(there.iter().any(|found| found == room), "there is no room '{room}' any more");
    }
}

#[test]
fn unsafe_code_is_where_it_is_listed_and_nowhere_else() {
    let mut found = Vec::new();
    for file in files() {
        let code = code(&file);
        let name =
            file.strip_prefix(source()).expect("it is in there").to_string_lossy().into_owned();
        let allowed = code.matches("allow(unsafe_code").count();
        let has_unsafe = has_unsafe(&code);
        assert!(!has_unsafe || allowed > 0, "{name} has `unsafe` in it");
        assert!(
            !code.contains("expect(unsafe_code") && !code.contains("warn(unsafe_code"),
            "{name}"
        );
        if allowed > 0 {
            found.push((name, allowed));
        }
    }
    let listed: Vec<_> = UNSAFE.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect();
    assert_eq!(found, listed);
    let roof = code(&source().join("lib.rs"));
    assert!(roof.contains("#![deny(unsafe_code)]"), "lib.rs does not deny it");
}

#[test]
fn the_keyword_is_told_from_the_word() {
    for code in
        ["unsafe { x() }", "pub unsafe fn x()", "unsafe\n    impl Send", "#[unsafe(no_mangle)]"]
    {
        assert!(has_unsafe(code), "{code}");
    }
    for code in ["deny(unsafe_code)", "reason = \"it is unsafe\"", "is_unsafe"] {
        assert!(!has_unsafe(code), "{code}");
    }
}

#[test]
fn imports_are_read_in_every_form() {
    let text = "use crate::a::B;\nuse crate::{c, d::{self, E}};\nuse crate::f::{g::H, I as J};\n\
                fn x() { crate::k::l(); }\n$crate::m::N\nuse super::super::o::P;\nuse super::q;\n\
                mod tests {\n    use super::super::super::r::S;\n    use super::super::t;\n}\n";
    let found: Vec<_> = imports(text, 2).into_iter().map(|path| path.join("::")).collect();
    let expected =
        ["a::B", "c", "d::self", "d::E", "f::g::H", "f::I", "k::l", "m::N", "o::P", "r::S"];
    assert_eq!(found, expected);
}

/// Every import that begins at the crate's root, as the path behind that, out of a file that is
/// so many modules below the root.
fn imports(code: &str, depth: usize) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = [rest.find("crate::"), rest.find("super::")].into_iter().flatten().min() {
        let is_word_before = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let line = rest[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let indented = rest[line..at].starts_with(' ');
        let mut tail = &rest[at..];
        let mut supers = 0;
        while let Some(behind) = tail.strip_prefix("super::") {
            (tail, supers) = (behind, supers + 1);
        }
        let from_root = match supers {
            0 => {
                tail = &tail["crate::".len()..];
                !is_word_before
            }
            // What is indented is in a module within the file.
            _ => supers == depth + usize::from(indented),
        };
        if from_root {
            expand(tail, &[], &mut found);
        }
        rest = tail;
    }
    found
}

/// Reads one path or a tree of them, and returns what is behind it.
fn expand<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut inside) = text.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if inside.is_empty() {
                return inside;
            }
            if let Some(behind) = inside.strip_prefix('}') {
                return behind;
            }
            inside = expand(inside, before, found);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
    let (word, behind) = text.split_at(end.unwrap_or(text.len()));
    let path = [before, &[word.to_owned()]].concat();
    if let Some(behind) = behind.strip_prefix("::") {
        return expand(behind, &path, found);
    }
    found.push(path);
    let behind = behind.trim_start();
    match behind.strip_prefix("as ") {
        Some(name) => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None if word.is_empty() => behind.get(1..).unwrap_or_default(),
        None => behind,
    }
}

/// Whether the keyword is in it, and not just the word.
fn has_unsafe(code: &str) -> bool {
    code.split("unsafe").skip(1).any(|behind| {
        let next = behind.trim_start();
        ["{", "(", "fn ", "impl ", "trait ", "extern "].iter().any(|it| next.starts_with(it))
    })
}

/// A file without its comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The path of a file's module: none for the crate's root.
fn module(file: &Path) -> Vec<String> {
    let path = file.strip_prefix(source()).expect("it is in there").with_extension("");
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// Every source file of the crate, in order.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 20, "the source of async-fuser is not in {}", source().display());
    files
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../async-fuser/src")
}
