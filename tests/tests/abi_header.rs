//! Holds `abi.rs` against the C header that is installed: a small C program says where the header
//! has each field, and what its constants are.
//!
//! The header of a distribution is often older than the ABI written down in `abi.rs`. What it does
//! not have yet is covered by the literal sizes and offsets in `abi.rs`.

#![cfg(target_os = "linux")]

#[path = "../../async-fuser/src/abi.rs"]
mod abi;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const INCLUDE: &str =
    "#include <stddef.h>\n#include <stdio.h>\n#include <sys/ioctl.h>\n#include <linux/fuse.h>\n";

/// The minor version `abi.rs` is written after.
const OURS: u64 = abi::FUSE_KERNEL_MINOR_VERSION as u64;

/// Fields the ABI renamed or took bytes from since, with the minor version that did it: a header
/// older than that has them otherwise.
const CHANGED: &[(&str, &str, u64)] = &[
    ("fuse_attr", "padding", 32),
    ("fuse_in_header", "padding", 38),
    ("fuse_init_out", "padding", 31),
    ("fuse_init_out", "unused", 43),
    ("fuse_open_in", "unused", 33),
    ("fuse_create_in", "padding", 33),
    ("fuse_open_out", "padding", 40),
    ("fuse_notify_inval_entry_out", "padding", 38),
];

/// The names at the end of C structs that have no size; ours stop before them.
const FLEXIBLE: &[(&str, &str)] = &[("fuse_dirent", "name"), ("fuse_supp_groups", "groups")];

/// Names of the header that are not facts about bytes, or are `size_of` in Rust.
const NOT_OURS: &[&str] = &[
    "FUSE_NOTIFY_CODE_MAX",
    "FUSE_NAME_OFFSET",
    "FUSE_NAME_OFFSET_DIRENTPLUS",
    "FUSE_REMOVEMAPPING_MAX_ENTRY",
];

#[test]
fn every_struct_is_where_the_c_header_has_it() {
    let header = preprocessed();
    let structs = structs(&header);
    let minor = minor();

    let mut program = format!("{INCLUDE}int main(void) {{\n");
    for (name, fields) in &structs {
        writeln!(program, r#"printf("{name} - %zu 0\n", sizeof(struct {name}));"#).unwrap();
        for field in fields.iter().filter(|field| !FLEXIBLE.contains(&(name, field))) {
            writeln!(
                program,
                r#"printf("{name} {field} %zu %zu\n", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));"#
            )
            .unwrap();
        }
    }
    program.push_str("return 0; }\n");

    let mut compared = BTreeSet::new();
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for line in run(&program).lines() {
        let [name, field, offset, size] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("the C program printed {line:?}");
        };
        let (offset, size): (usize, usize) = (offset.parse().unwrap(), size.parse().unwrap());
        let Some(ours) = abi::layouts().find(|layout| layout.name == name) else {
            missing.push(format!("struct {name}"));
            continue;
        };
        if field == "-" {
            // A struct only ever grew at its end, and only the requests listed here did.
            let grown = name == "fuse_init_in" && minor < 36
                || name == "fuse_setxattr_in" && minor < 33
                || name == "fuse_init_out" && minor < 23;
            if ours.size != offset && !grown {
                wrong.push(format!("{name} has {offset} bytes in C, {} in abi.rs", ours.size));
            }
            continue;
        }
        if CHANGED.iter().any(|&(s, f, since)| (s, f) == (name, field) && minor < since) {
            continue;
        }
        if minor > OURS && ["unused", "padding", "spare"].contains(&field) {
            continue; // Where later versions put new fields.
        }
        match ours.fields.iter().find(|ours| ours.name.trim_start_matches("r#") == field) {
            None => missing.push(format!("{name}.{field}")),
            Some(ours) if (ours.offset, ours.size) != (offset, size) => wrong.push(format!(
                "{name}.{field} is at {offset}, {size} bytes in C; at {}, {} bytes in abi.rs",
                ours.offset, ours.size,
            )),
            Some(_) => _ = compared.insert((name.to_owned(), field.to_owned())),
        }
    }
    let all: usize = abi::layouts().map(|layout| layout.fields.len()).sum();
    println!(
        "linux/fuse.h is 7.{minor}: compared {} of our {all} fields in {} of our {} structs",
        compared.len(),
        structs.len(),
        abi::layouts().count(),
    );
    judge(minor, &wrong, &missing);
    assert!(compared.len() >= 150, "only {} fields were compared", compared.len());
}

#[test]
fn every_constant_has_the_c_headers_value() {
    let minor = minor();
    let names = constants(&preprocessed());
    let mut program = format!("{INCLUDE}int main(void) {{\n");
    for name in &names {
        // Flags such as `1 << 31` are negative ints in C: take those for the 32 bits they are.
        writeln!(
            program,
            r#"printf("{name} %llu\n", sizeof({name}) == 4 ? (unsigned long long)(unsigned)({name}) : (unsigned long long)({name}));"#
        )
        .unwrap();
    }
    program.push_str("return 0; }\n");

    let theirs: BTreeMap<String, u64> = run(&program)
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect();
    let mut compared = 0;
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for (name, theirs) in &theirs {
        match abi::constants().find(|(ours, _)| ours == name) {
            None => missing.push(name.clone()),
            Some((name, ours)) if *name == "FUSE_KERNEL_MINOR_VERSION" => {
                println!("linux/fuse.h is 7.{theirs}, abi.rs 7.{ours}");
            }
            Some((_, ours)) if ours != theirs => {
                wrong.push(format!("{name} is {theirs:#x} in C, {ours:#x} in abi.rs"));
            }
            Some(_) => compared += 1,
        }
    }
    println!("compared {compared} of our {} constants", abi::constants().count());
    judge(minor, &wrong, &missing);
    assert!(compared >= 120, "only {compared} constants were compared");
}

/// Nothing may differ, and nothing may be missing unless the header is newer than `abi.rs`.
fn judge(minor: u64, wrong: &[String], missing: &[String]) {
    let missing = missing.join(", ");
    assert!(wrong.is_empty(), "against linux/fuse.h 7.{minor}:\n{}", wrong.join("\n"));
    assert!(missing.is_empty() || minor > OURS, "7.{minor} has, abi.rs has not: {missing}");
    if !missing.is_empty() {
        println!("newer than abi.rs: {missing}");
    }
}

/// The header's minor version.
fn minor() -> u64 {
    let program = format!(
        "{INCLUDE}int main(void) {{ printf(\"%d\\n\", FUSE_KERNEL_MINOR_VERSION); return 0; }}\n"
    );
    run(&program).trim().parse().unwrap()
}

/// Every struct of the header with the names of its fields.
fn structs(header: &str) -> BTreeMap<String, Vec<String>> {
    let mut structs = BTreeMap::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in header.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("struct ").and_then(|line| line.strip_suffix(" {")) {
            if name.starts_with("fuse_") || name.starts_with("cuse_") {
                open = Some((name.to_owned(), Vec::new()));
            }
        } else if line == "};" {
            structs.extend(open.take());
        } else if let (Some((_, fields)), Some(declaration)) = (&mut open, line.strip_suffix(';')) {
            let declared = declaration.rsplit([' ', '\t']).next().unwrap_or_default();
            let name = declared.split('[').next().unwrap_or_default();
            fields.push(name.trim_start_matches('*').to_owned());
        }
    }
    structs
}

/// Every constant of the header: its enums' and its macros' without arguments.
fn constants(header: &str) -> BTreeSet<String> {
    let mut constants = BTreeSet::new();
    let mut inside = false;
    for line in header.lines().map(str::trim) {
        if line.starts_with("enum fuse_") && line.ends_with('{') {
            inside = true;
        } else if line.starts_with('}') {
            inside = false;
        } else if inside && (line.starts_with("FUSE_") || line.starts_with("CUSE_")) {
            constants.extend(line.split([' ', '\t', ',', '=']).next().map(str::to_owned));
        }
    }
    for line in preprocess("-dM").lines() {
        let Some(name) = line.strip_prefix("#define ").and_then(|line| line.split(' ').next())
        else {
            continue;
        };
        let ours = ["FUSE_", "CUSE_", "FATTR_", "FOPEN_"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) && !name.contains('(') {
            constants.insert(name.to_owned());
        }
    }
    constants.retain(|name| !NOT_OURS.contains(&name.as_str()));
    constants
}

/// The header without comments and macros.
fn preprocessed() -> String {
    preprocess("-P")
}

fn preprocess(how: &str) -> String {
    compile(&["-E", how, "-x", "c", "-"], "#include <linux/fuse.h>\n")
}

/// What a C program prints.
fn run(program: &str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let thread = std::thread::current().id();
    let binary = directory.join(format!("abi-header-{}-{thread:?}", std::process::id()));
    compile(&["-x", "c", "-o", binary.to_str().expect("a UTF-8 target directory"), "-"], program);
    let output = Command::new(&binary).output().expect("the program just compiled runs");
    std::fs::remove_file(&binary).expect("the program just run can be removed");
    assert!(output.status.success(), "the C program ended with {}", output.status);
    String::from_utf8(output.stdout).expect("the C program prints ASCII")
}

/// Runs the C compiler over a source and returns what it wrote to its standard output.
fn compile(arguments: &[&str], source: &str) -> String {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut child = Command::new(&compiler)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run the C compiler {compiler:?}: {error}; install one or set CC")
        });
    child.stdin.take().expect("stdin is piped").write_all(source.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{compiler:?} failed; are the kernel's headers (linux/fuse.h) installed?\n{}",
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).expect("the header is UTF-8")
}
