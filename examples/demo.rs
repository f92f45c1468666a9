//! A short tour: mounts `memfs` on a temporary directory, uses it with ordinary programs, and shows
//! what they print.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use async_fuser::MountOption;
use clap::Parser;
use examples::cli::{Args, Example};
use examples::memfs::{MemFs, Options};

const EXAMPLE: Example = Example { name: "demo", try_it: &["cp -r /etc/. {}/", "df -h {}"] };

/// What is run, in the mounted directory. What needs a program that may be missing asks first.
const TOUR: &[&str] = &[
    "findmnt --target . || grep \"$PWD\" /proc/self/mounts",
    "df -h .",
    "mkdir -p a/b && echo 'Hello from memory' > a/b/hello && cat a/b/hello",
    "ln a/b/hello hard && ln -s a/b/hello soft && ls -li",
    "cp /bin/sh . && cmp /bin/sh sh && ./sh -c 'echo a program, run from the mount'",
    "truncate -s 1T sparse && printf end >> sparse && ls -lh sparse && du -h sparse",
    "mv a/b/hello a/renamed && ln -sfn a/renamed soft && cat soft",
    "chmod 600 hard && touch -d '1969-07-20 20:17:40Z' hard && stat -c '%n %A %h links %y' hard",
    "if command -v git >/dev/null; then git init -q repo && cd repo && git -c user.name=me -c user.email=me@example.org commit -q --allow-empty -m 'In a repository in memory' && git log --oneline; fi",
    "rm -r a hard soft sh sparse && rm -rf repo && ls -la",
];

/// Mount a filesystem in memory and show it at work.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    mount: Args,

    /// Unmount after the tour, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let cli: Cli = EXAMPLE.parse();
    let args = cli.mount.with(MountOption::DefaultPermissions);
    let mounted = match EXAMPLE.mount(&args, MemFs::new(Options::default())) {
        Ok(mounted) => mounted,
        Err(error) => return EXAMPLE.fail(error),
    };
    println!("memfs is mounted on {}. A tour of it:", mounted.path().display());
    let failed = TOUR.iter().filter(|command| !show(command, mounted.path())).count();
    println!();
    if failed > 0 {
        println!("{failed} of {} commands failed.", TOUR.len());
    }
    let ended = if cli.once {
        println!("Unmounting.");
        mounted.unmount()
    } else {
        mounted.announce();
        mounted.wait()
    };
    if failed > 0 { ExitCode::FAILURE } else { ended }
}

/// Runs `command` in `directory`, as a person would type it. False if it failed.
fn show(command: &str, directory: &Path) -> bool {
    println!("\n$ {command}");
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .status();
    match status {
        Ok(status) if status.success() => true,
        Ok(status) => {
            println!("({status})");
            false
        }
        Err(error) => {
            println!("sh: {error}");
            false
        }
    }
}
