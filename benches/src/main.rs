//! async-fuser beside fuser: one filesystem, one machine, one run.
//!
//! Each library serves the same small filesystem in a process of its own. A client works on one
//! mount and then on the other, in many short turns, and what is reported is the median of the
//! turns' ratios: whatever else the machine does meets both alike. Read the ratios; the absolute
//! numbers are those of the machine.
//!
//! *Pinned*, the server and the client share one CPU, which measures the length of the path.
//! Unpinned, where the scheduler puts the two matters more than any difference between libraries.

mod ours;
mod server;
mod theirs;
mod workload;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::utsname::uname;
use nix::unistd::Pid;

use server::{Contestant, Server, SystemCalls, Threads, all_cpus_and_one};
use workload::{Caller, Workload, run};

/// Measure async-fuser against fuser and print the tables in Markdown
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// One thread only, and shorter turns
    #[arg(long)]
    quick: bool,
    /// Only this one; may be given several times
    #[arg(long)]
    workload: Vec<Workload>,
    #[command(subcommand)]
    command: Option<Serve>,
}

#[derive(Subcommand)]
enum Serve {
    #[command(hide = true)]
    Serve {
        contestant: Contestant,
        #[command(flatten)]
        threads: Threads,
        mountpoint: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Serve::Serve { contestant, threads, mountpoint }) => {
            contestant.serve(&mountpoint, threads)
        }
        None => compare(cli.quick, &cli.workload),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(quick: bool, chosen: &[Workload]) -> io::Result<()> {
    let workloads = if chosen.is_empty() { Workload::value_variants() } else { chosen };
    let turn = Duration::from_millis(if quick { 25 } else { 75 });
    let modes = if quick { &MODES[..1] } else { &MODES };

    let mut out = io::stdout().lock();
    let (all, one) = all_cpus_and_one()?;
    writeln!(
        out,
        "Linux {}; {STARTS} times {ROUNDS} rounds, turns of {} ms; load average {}",
        uname()?.release().to_string_lossy(),
        turn.as_millis(),
        std::fs::read_to_string("/proc/loadavg")?.trim(),
    )?;
    for mode in modes {
        if mode.threads.number == 1 {
            writeln!(out, "\n### System calls of the server for each request\n")?;
            writeln!(out, "| | requests | async-fuser | fuser |\n|---|--:|--:|--:|")?;
            let mut pair = Pair::start(mode.threads, &all)?;
            for &workload in workloads {
                let [ours, theirs] = pair.system_calls(workload)?;
                writeln!(
                    out,
                    "| {workload} | {:.1} | {:.2} | {:.2} |",
                    ours.reads as f64 / COUNTED as f64,
                    ours.all as f64 / ours.reads as f64,
                    theirs.all as f64 / theirs.reads as f64,
                )?;
            }
        }
        for (pinning, cpus) in [("pinned to one CPU", &one), ("unpinned", &all)] {
            writeln!(out, "\n### {}, {pinning}\n\n{HEAD}", mode.name)?;
            let mut peaks = [0; 2];
            for &workload in workloads {
                for callers in [1, 4] {
                    let mut row = Row::default();
                    for _ in 0..STARTS {
                        let mut pair = Pair::start(mode.threads, cpus)?;
                        pair.measure(workload, callers, turn, &mut row)?;
                        for (peak, server) in peaks.iter_mut().zip(&pair.servers) {
                            *peak = server.peak_memory()?.max(*peak);
                        }
                    }
                    writeln!(out, "| {workload} | {callers} | {row} |")?;
                    out.flush()?;
                }
            }
            writeln!(out, "\nPeak memory: {} KiB, fuser {} KiB.", peaks[0], peaks[1])?;
        }
    }
    Ok(())
}

/// How often both are started anew for a row: where their memory happens to lie makes a
/// difference of a few percent.
const STARTS: usize = 3;
/// Odd, as is their product: so there is a median.
const ROUNDS: usize = 5;
/// How often a workload is repeated while its system calls are counted.
const COUNTED: u64 = 300;
const CALLERS: usize = 4;

const HEAD: &str = "\
| | callers | speed, ratio | (middle half) | server CPU, ratio | (middle half) \
| async-fuser /s | fuser /s | async-fuser CPU µs | fuser CPU µs |
|---|--:|--:|---|--:|---|--:|--:|--:|--:|";

struct Mode {
    name: &'static str,
    threads: Threads,
}

const MODES: [Mode; 2] = [
    Mode { name: "One thread", threads: Threads { number: 1, clone_fd: false } },
    Mode {
        name: "Four threads with a descriptor each",
        threads: Threads { number: 4, clone_fd: true },
    },
];

/// Both contestants, ours first, and their callers.
struct Pair {
    // Dropped first: a mount in use is unmounted lazily, and its server lives on.
    callers: [Vec<Caller>; 2],
    servers: [Server; 2],
}

impl Pair {
    /// Starts both, and has them and their callers run on these CPUs.
    fn start(threads: Threads, cpus: &CpuSet) -> io::Result<Self> {
        // Threads and processes inherit it.
        sched_setaffinity(Pid::from_raw(0), cpus)?;
        let [ours, theirs] = Contestant::BOTH.map(|contestant| Server::start(contestant, threads));
        let servers = [ours?, theirs?];
        let [ours, theirs] = [&servers[0], &servers[1]].map(|server| server.callers(CALLERS));
        Ok(Self { callers: [ours?, theirs?], servers })
    }

    fn system_calls(&mut self, workload: Workload) -> io::Result<[SystemCalls; 2]> {
        let mut counts = [SystemCalls::default(); 2];
        for ((count, server), callers) in
            counts.iter_mut().zip(&self.servers).zip(&mut self.callers)
        {
            *count = server.system_calls(workload, &mut callers[0], COUNTED)?;
        }
        Ok(counts)
    }

    fn measure(
        &mut self,
        workload: Workload,
        callers: usize,
        turn: Duration,
        row: &mut Row,
    ) -> io::Result<()> {
        // To warm up.
        for contestant in 0..2 {
            self.turn(contestant, workload, callers, turn / 5)?;
        }
        for round in 0..ROUNDS {
            // Each goes first in every other round.
            let mut turns = [Turn::default(); 2];
            for contestant in [round % 2, 1 - round % 2] {
                turns[contestant] = self.turn(contestant, workload, callers, turn)?;
            }
            row.rounds.push(turns);
        }
        Ok(())
    }

    fn turn(
        &mut self,
        contestant: usize,
        workload: Workload,
        callers: usize,
        duration: Duration,
    ) -> io::Result<Turn> {
        let server = &self.servers[contestant];
        let before = server.cpu_time()?;
        let (count, seconds) = run(workload, &mut self.callers[contestant][..callers], duration)?;
        let cpu_time = server.cpu_time()? - before;
        Ok(Turn { speed: count as f64 / seconds, cpu: cpu_time / count as f64 })
    }
}

/// What one turn came to.
#[derive(Clone, Copy, Default)]
struct Turn {
    /// How often in a second it was done.
    speed: f64,
    /// The server's CPU time for each, in seconds.
    cpu: f64,
}

#[derive(Default)]
struct Row {
    rounds: Vec<[Turn; 2]>,
}

impl Row {
    fn quartiles(&self, of: impl Fn(&[Turn; 2]) -> f64) -> [f64; 3] {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for of in [|turn: &Turn| turn.speed, |turn: &Turn| turn.cpu] {
            let [low, median, high] = self.quartiles(|[ours, theirs]| of(ours) / of(theirs));
            write!(f, "**{median:.2}** | {low:.2}–{high:.2} | ")?;
        }
        let median = |of: fn(&[Turn; 2]) -> f64| self.quartiles(of)[1];
        write!(
            f,
            "{:.0} | {:.0} | {:.2} | {:.2}",
            median(|[ours, _]| ours.speed),
            median(|[_, theirs]| theirs.speed),
            median(|[ours, _]| ours.cpu * 1e6),
            median(|[_, theirs]| theirs.cpu * 1e6),
        )
    }
}
