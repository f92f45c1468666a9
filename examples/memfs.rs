//! A filesystem in memory, like tmpfs: files, links, devices, locks, extended attributes, holes.
//!
//! What it stores is gone when it is unmounted.

use std::process::ExitCode;

use async_fuser::MountOption;
use clap::Parser;
use examples::cli::{Args, AsyncArgs, Example, MountOptions, Runtime};
use examples::memfs::{Limits, MemFs, Options};

const EXAMPLE: Example = Example {
    name: "memfs",
    try_it: &[
        "git init {}/repository",
        "truncate -s 1T {}/large && du -h --apparent-size {}/large",
        "df -h {}",
    ],
};

/// Keep files in memory, for as long as they are mounted.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mount: Args,

    /// Bytes to store at most, with K, M, G or T for multiples of 1024 [default: half of the memory]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    size_limit: Option<u64>,

    /// Files and directories to store at most [default: one for every 16 KiB of the bytes]
    #[arg(long, value_name = "N")]
    inode_limit: Option<u64>,

    /// Let the kernel collect small writes before it sends them
    #[arg(long)]
    writeback: bool,

    /// Leave file locks to the kernel
    #[arg(long)]
    kernel_locks: bool,

    /// Check permissions in this program, not in the kernel (which the option default_permissions is for)
    #[arg(long)]
    check_permissions: bool,

    /// Serve it by the asynchronous trait; --threads then says how many read requests
    #[arg(long = "async")]
    asynchronous: bool,

    /// Tokio runtime that serves it [default: multi-thread]
    #[arg(long, value_enum, value_name = "KIND", requires = "asynchronous")]
    runtime: Option<Runtime>,
}

fn main() -> ExitCode {
    let mut cli: Cli = EXAMPLE.parse();
    let mut limits = Limits::default();
    if let Some(bytes) = cli.size_limit {
        limits.bytes = bytes;
        limits.inodes = (bytes / (16 << 10)).max(FEW_INODES);
    }
    limits.inodes = cli.inode_limit.unwrap_or(limits.inodes).max(1);
    let given = cli.mount.options.iter().flat_map(|given| &given.options);
    let kernel_checks = given.into_iter().any(|option| *option == MountOption::DefaultPermissions);
    if cli.check_permissions && kernel_checks {
        return EXAMPLE.fail("--check-permissions and -o default_permissions exclude each other");
    }
    if !cli.check_permissions && !kernel_checks {
        cli.mount
            .options
            .push(MountOptions { options: vec![MountOption::DefaultPermissions], acl: None });
    }
    let (check_permissions, writeback) = (cli.check_permissions, cli.writeback);
    let options = Options { limits, check_permissions, writeback, kernel_locks: cli.kernel_locks };
    let memfs = MemFs::new(options);
    if cli.asynchronous {
        let runtime = cli.runtime.unwrap_or_default();
        EXAMPLE.run_async(&AsyncArgs { mount: cli.mount, runtime }, memfs)
    } else {
        EXAMPLE.run(&cli.mount, memfs)
    }
}

/// Enough for a small filesystem of many empty files.
const FEW_INODES: u64 = 1024;

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("expected one letter of K, M, G and T".into()),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "is more than 64 bits count".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_at_most_one_unit() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("3G"), Ok(3 << 30));
        for wrong in ["", "G", "1GG", "1X", "-1", "99999999T"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
