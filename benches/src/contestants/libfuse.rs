//! The filesystem on libfuse 3: a program in C that is compiled when the bench begins.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Place;
use crate::tree::{
    BYTE, CALLERS, DELAY, DIRECTORIES, DIRECTORY, ENTRIES, ENTRY, FILE, FILE_SIZE, FILES,
    MAX_WRITE, NEW, NEWS, OTHERS, PERM, SLOW, SLOWS,
};

pub(crate) fn prepare(scratch: &Path) -> io::Result<()> {
    let source = scratch.join("libfuse.c");
    fs::write(&source, include_str!("libfuse.c"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(program(scratch)).arg(source);
    for (name, value) in [("DIRECTORY", DIRECTORY), ("FILE_NAME", FILE)] {
        compiler.arg(format!("-D{name}=\"{value}\""));
    }
    for (name, value) in [("SLOW", SLOW), ("NEW", NEW), ("ENTRY", ENTRY)] {
        compiler.arg(format!("-D{name}=\"{value}\""));
    }
    for (name, value) in [
        ("CALLERS", CALLERS),
        ("ENTRIES", ENTRIES),
        ("FILE_SIZE", FILE_SIZE as u64),
        ("BYTE", u64::from(BYTE)),
        ("DELAY_NS", DELAY.as_nanos() as u64),
        ("MAX_WRITE", u64::from(MAX_WRITE)),
        ("PERM", u64::from(PERM)),
        ("DIRECTORIES", DIRECTORIES),
        ("FILES", FILES),
        ("NEWS", NEWS),
        ("SLOWS", SLOWS),
        ("OTHERS", OTHERS),
    ] {
        compiler.arg(format!("-D{name}={value}"));
    }
    compiler.args(flags()?);
    let output = compiler.output().map_err(|error| io::Error::other(format!("cc: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(())
}

/// Becomes the program.
pub(crate) fn serve(place: &Place) -> io::Result<()> {
    let mut command = Command::new(program(&place.scratch));
    Err(command.arg(&place.mountpoint).arg(place.threads.to_string()).exec())
}

fn program(scratch: &Path) -> PathBuf {
    scratch.join("libfuse")
}

fn flags() -> io::Result<Vec<String>> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", "fuse3 >= 3.12"]).output();
    let output = output.map_err(|error| io::Error::other(format!("pkg-config: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("libfuse3-dev, 3.12 or newer, is needed: {said}")));
    }
    let flags = String::from_utf8_lossy(&output.stdout);
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}
