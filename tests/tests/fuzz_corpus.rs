//! What the fuzzer runs for hours, over its corpus and some thousand variations of it.

#![cfg(target_os = "linux")]

#[path = "../../fuzz/src/lib.rs"]
#[allow(missing_docs, unreachable_pub, reason = "the library of another package")]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use async_fuser::op::Opcode;

#[test]
fn decode_contiguous() {
    run("decode_contiguous", fuzz::decode_contiguous, 20_000);
}

#[test]
fn decode_split() {
    run("decode_split", fuzz::decode_split, 20_000);
}

#[test]
fn control() {
    run("control", fuzz::control, 20_000);
}

#[test]
fn session() {
    run("session", fuzz::session, 3_000);
}

#[test]
fn every_request_the_library_knows_is_in_the_corpus() {
    let macos = ["SETVOLNAME", "GETXTIMES", "EXCHANGE"];
    let known: BTreeSet<u32> = (0..10_000)
        .filter(|&code| {
            let name = format!("{:?}", Opcode(code));
            !name.starts_with("OPCODE_") && !macos.contains(&name.as_str())
        })
        .collect();
    let listed: BTreeSet<u32> = fuzz::requests::REQUESTS.iter().map(|row| row.code).collect();
    assert_eq!(known, listed, "fuzz/src/requests.rs lists every request");
    // Behind the options, and where there are pieces behind the fixed struct's length.
    for (target, header) in [("decode_contiguous", 1), ("decode_split", 2), ("control", 1)] {
        let codes: BTreeSet<u32> = corpus(target)
            .iter()
            .filter_map(|input| input.get(header + 4..header + 8)?.try_into().ok())
            .map(u32::from_ne_bytes)
            .collect();
        let missing: Vec<_> = known.difference(&codes).map(|&code| Opcode(code)).collect();
        assert!(missing.is_empty(), "no seed in {target} for {missing:?}");
    }
}

/// Tries each input of the corpus, and as many variations of them, the same in every run.
fn run(target: &str, entry: fn(&[u8]), variations: usize) {
    let corpus = corpus(target);
    for input in &corpus {
        entry(input);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..variations {
        entry(&varied(&corpus, &mut random));
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.expect("a file of the corpus").path());
    let files: BTreeSet<_> = files.collect();
    assert!(
        files.len() >= fuzz::requests::REQUESTS.len(),
        "{}: the seeds are missing",
        folder.display()
    );
    files.iter().map(|file| fs::read(file).expect("a file of the corpus")).collect()
}

fn varied(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.choice(corpus).clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(at),
            1 => {
                let other = random.choice(corpus);
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            2 => input.insert(at, random.next() as u8),
            3 => overwrite(&mut input, at, &[random.next() as u8]),
            4 => {
                let number = *random.choice(&[0, 1, 40, 41, 0x7fff_ffff, 1 << 31, u32::MAX]);
                overwrite(&mut input, at & !3 | 1, &number.to_ne_bytes());
            }
            _ => {
                let number = *random.choice(&[0, 1 << 31, i64::MAX as u64, 1 << 63, u64::MAX]);
                overwrite(&mut input, at & !7 | 1, &number.to_ne_bytes());
            }
        }
    }
    input
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (old, new) in input.iter_mut().skip(at).zip(bytes) {
        *old = *new;
    }
}

/// A generator of numbers that are random enough.
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

    fn choice<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
