//! The tables.

use std::fmt::Write;

use crate::contestants::Contestant;
use crate::workload::Workload;

/// What one turn of one contestant came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// How often in a second it was done.
    pub(crate) speed: f64,
    /// The server's CPU time for each, in seconds.
    pub(crate) cpu: f64,
    /// The server's peak memory, in KiB.
    pub(crate) peak: u64,
}

/// Everything that was measured of one workload with so many callers.
pub(crate) struct Row {
    pub(crate) workload: Workload,
    pub(crate) callers: usize,
    /// In each, the turns of all contestants.
    pub(crate) rounds: Vec<Vec<Turn>>,
}

impl Row {
    pub(crate) fn of(workload: Workload) -> impl Iterator<Item = Self> {
        let row = move |&callers| Self { workload, callers, rounds: Vec::new() };
        workload.callers().iter().map(row)
    }

    /// The contestant whose median is highest, and that median.
    fn best(&self) -> (usize, f64) {
        let speeds = (0..self.rounds[0].len())
            .map(|contestant| (contestant, self.median(|round| round[contestant].speed)));
        speeds.max_by(|(_, one), (_, other)| one.total_cmp(other)).expect("a contestant")
    }

    fn median(&self, of: impl Fn(&[Turn]) -> f64) -> f64 {
        self.quartiles(of)[1]
    }

    fn quartiles(&self, of: impl Fn(&[Turn]) -> f64) -> [f64; 3] {
        let mut values: Vec<f64> = self.rounds.iter().map(|round| of(round)).collect();
        values.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
    }
}

/// Each contestant's share of the best one's speed, medians over the rounds.
pub(crate) fn speeds(contestants: &[&Contestant], rows: &[Row]) -> String {
    table(contestants, &["best", "its speed, 1/s", "noise"], rows, |row, cells| {
        let (best, speed) = row.best();
        let shares: Vec<_> = (0..contestants.len())
            .map(|one| row.quartiles(|round| round[one].speed / round[best].speed))
            .collect();
        // Half of what the middle half of a contestant's rounds spans.
        let noise = shares.iter().map(|[low, _, high]| (high - low) / 2.0).fold(0.0, f64::max);
        cells.extend([contestants[best].name.to_owned(), format!("{speed:.0}")]);
        cells.push(format!("{noise:.2}"));
        let digits = |share: f64| if share < 0.1 { 3 } else { 2 };
        cells.extend(shares.iter().map(|[_, share, _]| format!("{share:.*}", digits(*share))));
    })
}

/// How often in a second each did it.
pub(crate) fn rates(contestants: &[&Contestant], rows: &[Row]) -> String {
    table(contestants, &[], rows, |row, cells| {
        let speed = |one: usize| row.median(|round| round[one].speed);
        cells.extend((0..contestants.len()).map(|one| format!("{:.0}", speed(one))));
    })
}

/// The server's CPU time for each time it was done, in microseconds.
pub(crate) fn cpu_times(contestants: &[&Contestant], rows: &[Row]) -> String {
    table(contestants, &[], rows, |row, cells| {
        let cpu = |one: usize| row.median(|round| round[one].cpu * 1e6);
        cells.extend((0..contestants.len()).map(|one| format!("{:.1}", cpu(one))));
    })
}

/// The server's peak memory until then, in MiB.
pub(crate) fn peaks(contestants: &[&Contestant], rows: &[Row]) -> String {
    table(contestants, &[], rows, |row, cells| {
        let peak = |one: usize| row.rounds.iter().map(move |round| round[one].peak).max();
        cells.extend((0..contestants.len()).map(|one| mebibytes(peak(one).unwrap_or(0))));
    })
}

pub(crate) fn mebibytes(kibibytes: u64) -> String {
    format!("{:.1}", kibibytes as f64 / 1024.0)
}

fn table(
    contestants: &[&Contestant],
    columns: &[&str],
    rows: &[Row],
    fill: impl Fn(&Row, &mut Vec<String>),
) -> String {
    let mut text = head(&[&["", "callers"], columns].concat(), contestants);
    for row in rows {
        let mut cells = vec![row.workload.to_string(), row.callers.to_string()];
        fill(row, &mut cells);
        line(&mut text, &cells);
    }
    text
}

/// The head of a table: the first column is text.
pub(crate) fn head(columns: &[&str], contestants: &[&Contestant]) -> String {
    let names = contestants.iter().map(|contestant| contestant.name);
    let columns: Vec<_> = columns.iter().copied().chain(names).map(str::to_owned).collect();
    let mut text = String::new();
    line(&mut text, &columns);
    writeln!(text, "|---|{}", "--:|".repeat(columns.len() - 1)).expect("a string takes everything");
    text
}

pub(crate) fn line(text: &mut String, cells: &[String]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes everything");
}
