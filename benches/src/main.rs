//! FUSE libraries side by side: one filesystem, one machine, one run.
//!
//! Each library serves the same small filesystem in a process of its own. A client works on one
//! mount after the other, in many short turns, and what is reported is the median of the rounds'
//! ratios: whatever else the machine does meets all alike. Read the ratios; the absolute numbers
//! are those of the machine.
//!
//! *Pinned*, the servers and the client share one CPU, which measures the length of the path.
//! Unpinned, where the scheduler puts the two matters more than any difference between libraries.
//!
//! Slow reads are for what waits. An asynchronous library sleeps with its runtime's timer, a
//! synchronous one in its handler, on as many threads as its user gave it: four.
//!
//! A contestant that cannot be built, mounted or believed ends the run. To add one: a file in
//! `contestants/`, a row in `contestants/mod.rs`.

mod contestants;
mod crowd;
mod report;
mod server;
mod tree;
mod workload;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use nix::sched::sched_setaffinity;
use nix::sys::utsname::uname;
use nix::unistd::Pid;
use tempfile::TempDir;

use contestants::{CONTESTANTS, Contestant, Place};
use report::{Row, Turn};
use server::{Server, all_cpus_and_one};
use tree::CALLERS;
use workload::{Buffer, Caller, Workload, run};

/// Measure FUSE libraries against each other and print the tables in Markdown
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// Fewer and shorter turns: about a minute
    #[arg(long)]
    quick: bool,
    /// Only this one; may be given several times
    #[arg(long, value_name = "NAME", value_parser = Contestant::by_name)]
    contestant: Vec<&'static Contestant>,
    /// Only this one; may be given several times
    #[arg(long)]
    workload: Vec<Workload>,
    /// Only with servers and client on these CPUs
    #[arg(long)]
    cpus: Option<Cpus>,
    /// How many threads of a synchronous library read requests, slow reads aside
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(subcommand)]
    command: Option<Serve>,
}

#[derive(Subcommand)]
enum Serve {
    #[command(hide = true)]
    Serve {
        #[arg(value_parser = Contestant::by_name)]
        contestant: &'static Contestant,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Cpus {
    One,
    All,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Serve::Serve { contestant, place }) => server::serve(contestant, &place),
        None => compare(&cli),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(cli: &Cli) -> io::Result<()> {
    let scratch = TempDir::new()?;
    let all: Vec<_> = CONTESTANTS.iter().collect();
    let bench = Bench {
        contestants: if cli.contestant.is_empty() { &all } else { &cli.contestant },
        scratch: scratch.path(),
        threads: cli.threads,
        pace: if cli.quick { &QUICK } else { &FULL },
        began: Instant::now(),
    };
    let chosen = |workload: &Workload| cli.workload.is_empty() || cli.workload.contains(workload);
    let slow = chosen(&Workload::Slow);
    let workloads: Vec<_> = Workload::value_variants()
        .iter()
        .copied()
        .filter(|workload| *workload != Workload::Slow && chosen(workload))
        .collect();

    let mut out = io::stdout().lock();
    let (all, one) = all_cpus_and_one()?;
    bench.introduce(&mut out)?;
    for contestant in bench.contestants {
        let prepared = contestant.prepare(bench.scratch);
        prepared.map_err(|error| io::Error::other(format!("{contestant:?}: {error}")))?;
    }
    if !workloads.is_empty() {
        bench.system_calls(&mut out, &workloads)?;
    }
    for (which, name, cpus) in
        [(Cpus::One, "pinned to one CPU", &one), (Cpus::All, "unpinned", &all)]
    {
        if cli.cpus.is_some_and(|cpus| cpus != which) {
            continue;
        }
        // Threads and processes inherit it.
        sched_setaffinity(Pid::from_raw(0), cpus)?;
        if !workloads.is_empty() {
            bench.quick_answers(&mut out, name, &workloads)?;
        }
        // A minute does not hold them twice.
        if slow && !(cli.quick && which == Cpus::One && cli.cpus.is_none()) {
            bench.slow_answers(&mut out, name)?;
        }
    }
    bench.say("done");
    Ok(())
}

/// How long all of it takes.
struct Pace {
    /// How often all are started anew: where their memory happens to lie makes a difference of a
    /// few percent.
    starts: usize,
    /// With each start. Odd, as is their product: so there is a median.
    rounds: usize,
    turn: Duration,
    slow_rounds: usize,
    slow_turn: Duration,
    /// How often a workload is repeated while its system calls are counted.
    counted: u64,
}

const QUICK: Pace = Pace {
    starts: 1,
    rounds: 3,
    turn: Duration::from_millis(10),
    slow_rounds: 1,
    slow_turn: Duration::from_millis(200),
    counted: 20,
};

const FULL: Pace = Pace {
    starts: 3,
    rounds: 5,
    turn: Duration::from_millis(50),
    slow_rounds: 3,
    slow_turn: Duration::from_millis(300),
    counted: 300,
};

/// With which synchronous libraries serve slow reads.
const SLOW_THREADS: usize = 4;

struct Bench<'a> {
    contestants: &'a [&'static Contestant],
    scratch: &'a Path,
    threads: usize,
    pace: &'a Pace,
    began: Instant,
}

/// A contestant that serves, and its callers.
struct Team {
    // Dropped first: a mount in use is unmounted lazily.
    callers: Vec<Caller>,
    server: Server,
}

impl Bench<'_> {
    fn introduce(&self, out: &mut impl Write) -> io::Result<()> {
        let pace = self.pace;
        writeln!(
            out,
            "Linux {}; {} times {} rounds, turns of {} ms, of slow reads {} rounds, {} ms; \
             {} thread(s) for synchronous libraries, {SLOW_THREADS} for slow reads; \
             load average {}\n",
            uname()?.release().to_string_lossy(),
            pace.starts,
            pace.rounds,
            pace.turn.as_millis(),
            pace.slow_rounds,
            pace.slow_turn.as_millis(),
            self.threads,
            std::fs::read_to_string("/proc/loadavg")?.trim(),
        )?;
        for contestant in self.contestants {
            writeln!(out, "* {}: {}", contestant.name, contestant.about)?;
        }
        writeln!(
            out,
            "\nA share is the median of a contestant's ratios to the best one in the same rounds; \
             noise is half of what the middle half of them spans, of the contestant where it is \
             most."
        )
    }

    fn system_calls(&self, out: &mut impl Write, workloads: &[Workload]) -> io::Result<()> {
        writeln!(out, "\n### Requests, and the server's system calls for each of them\n")?;
        let mut cells: Vec<_> = workloads.iter().map(|name| vec![name.to_string()]).collect();
        for contestant in self.contestants {
            self.say(&format!("system calls of {contestant:?}"));
            let mut team = self.start(contestant)?;
            let times = self.pace.counted;
            for (row, &workload) in cells.iter_mut().zip(workloads) {
                let calls = team.server.system_calls(workload, &mut team.callers[0], times);
                let calls = calls.map_err(|error| {
                    io::Error::other(format!("{contestant:?}, {workload}: {error}"))
                })?;
                let requests = calls.requests as f64;
                let (each, all) = (requests / times as f64, calls.all as f64);
                row.push(format!("{each:.1} × {:.2}", all / requests));
            }
        }
        let mut text = report::head(&[""], self.contestants);
        for row in &cells {
            report::line(&mut text, row);
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn quick_answers(
        &self,
        out: &mut impl Write,
        name: &str,
        workloads: &[Workload],
    ) -> io::Result<()> {
        let mut rows: Vec<_> = workloads.iter().copied().flat_map(Row::of).collect();
        let mut peaks = vec![0; self.contestants.len()];
        let mut buffers: Vec<_> = (0..CALLERS).map(|_| Buffer::new()).collect();
        for start in 1..=self.pace.starts {
            self.say(&format!("{name}, start {start} of {}", self.pace.starts));
            let mut teams = self
                .contestants
                .iter()
                .map(|contestant| self.start(contestant))
                .collect::<io::Result<Vec<_>>>()?;
            for row in &mut rows {
                for round in 0..=self.pace.rounds {
                    // The first is to warm up.
                    let turn = if round == 0 { self.pace.turn / 5 } else { self.pace.turn };
                    let turns = in_turns(teams.len(), round, |team| {
                        teams[team].turn(row, &mut buffers, turn)
                    })?;
                    if round > 0 {
                        row.rounds.push(turns);
                    }
                }
            }
            for (peak, team) in peaks.iter_mut().zip(&teams) {
                *peak = team.server.peak_memory()?.max(*peak);
            }
        }
        let (speeds, times) =
            (report::speeds(self.contestants, &rows), report::cpu_times(self.contestants, &rows));
        writeln!(out, "\n### Share of the best one's speed, {name}\n\n{speeds}")?;
        writeln!(out, "### Server CPU for each, µs, {name}\n\n{times}")?;
        let mut memory = report::head(&[""], self.contestants);
        let cells = peaks.into_iter().map(report::mebibytes);
        let cells: Vec<_> = ["peak memory, MiB".to_owned()].into_iter().chain(cells).collect();
        report::line(&mut memory, &cells);
        out.write_all(memory.as_bytes())?;
        out.flush()
    }

    fn slow_answers(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        let mut rows: Vec<_> = Row::of(Workload::Slow).collect();
        for row in &mut rows {
            for round in 0..self.pace.slow_rounds {
                self.say(&format!("{} slow callers, {name}, round {}", row.callers, round + 1));
                let turns = in_turns(self.contestants.len(), round, |contestant| {
                    let contestant = self.contestants[contestant];
                    let server = Server::start(contestant, self.scratch, SLOW_THREADS)?;
                    crowd::run(server, row.callers, self.pace.slow_turn)
                        .map_err(|error| io::Error::other(format!("{contestant:?}: {error}")))
                })?;
                row.rounds.push(turns);
            }
        }
        for (title, table) in [
            ("share of the best one's speed", report::speeds(self.contestants, &rows)),
            ("requests in a second", report::rates(self.contestants, &rows)),
            ("server CPU for each, µs", report::cpu_times(self.contestants, &rows)),
            ("peak memory of the server, MiB", report::peaks(self.contestants, &rows)),
        ] {
            write!(out, "\n### Slow reads, {name}: {title}\n\n{table}")?;
        }
        out.flush()
    }

    fn start(&self, contestant: &'static Contestant) -> io::Result<Team> {
        let server = Server::start(contestant, self.scratch, self.threads)?;
        Ok(Team { callers: server.callers(CALLERS as usize)?, server })
    }

    fn say(&self, what: &str) {
        eprintln!("{:4} s: {what}", self.began.elapsed().as_secs());
    }
}

impl Team {
    fn turn(&mut self, row: &Row, buffers: &mut [Buffer], turn: Duration) -> io::Result<Turn> {
        let before = self.server.cpu_time()?;
        let callers = &mut self.callers[..row.callers];
        let turn = self.server.watched(|| run(row.workload, callers, buffers, turn));
        let (count, seconds) = turn.map_err(|error| {
            io::Error::other(format!("{:?}, {}: {error}", self.server, row.workload))
        })?;
        let cpu_time = self.server.cpu_time()? - before;
        Ok(Turn { speed: count as f64 / seconds, cpu: cpu_time / count as f64, peak: 0 })
    }
}

/// Has each take its turn, beginning with another one in each round. Returns them in order.
fn in_turns(
    contestants: usize,
    round: usize,
    mut turn: impl FnMut(usize) -> io::Result<Turn>,
) -> io::Result<Vec<Turn>> {
    let order = (0..contestants).map(|place| (place + round) % contestants);
    let mut turns =
        order.map(|one| Ok((one, turn(one)?))).collect::<io::Result<Vec<(usize, Turn)>>>()?;
    turns.sort_by_key(|(one, _)| *one);
    Ok(turns.into_iter().map(|(_, turn)| turn).collect())
}
