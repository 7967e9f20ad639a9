//! Fault drills: something is killed, restarted, filled up or reloaded in the middle of many messages, and what arrived is counted.
//! Lost must be 0; duplicates are counted, limited and explained.
//!
//! In `tests/run` each drill runs once with few messages. `tests/run --drills` (`MEDIARY_DRILLS=long`) runs each many times with many
//! messages and writes the counts to `docs/drills.md`. When exactly the fault comes is random; a drill that fails tells its seed, and
//! `MEDIARY_DRILLS_SEED` repeats it. `MEDIARY_DRILLS_ROUNDS` is the number of rounds of the long form, where 20 would take too long.

mod brokers;
mod disk;
mod killed;
mod ledger;
mod load;
mod pickup;
mod reloads;
mod servers;
mod shared;
mod sources;
mod stored;
mod table;

use ledger::Ledger;
use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

/// The rounds of the long form.
const ROUNDS: usize = 20;
/// How long it may take after the fault until everything has arrived.
const LIMIT: Duration = Duration::from_secs(400);

/// A fault drill.
struct Drill {
    /// What happens, as the table says it.
    name: &'static str,
    /// How many messages: in `tests/run`, and in the long form.
    messages: (usize, usize),
    /// The size of each.
    bytes: usize,
    /// Why messages arrive twice, or why they do not.
    duplicates: &'static str,
    /// One round.
    run: fn(&mut Round) -> Outcome,
}

/// All drills, in the order of the table.
const DRILLS: [&Drill; 18] = [
    &killed::FILES,
    &killed::QUEUE,
    &killed::SFTP,
    &stored::KILLED,
    &brokers::PUBLISH,
    &brokers::CONSUME,
    &servers::SSHD_PICKUP,
    &servers::SSHD_UPLOAD,
    &servers::VSFTPD_PICKUP,
    &servers::VSFTPD_UPLOAD,
    &disk::FOLDER,
    &disk::STORE,
    &shared::FOLDER,
    &shared::QUEUE,
    &reloads::FILES,
    &reloads::QUEUE,
    &reloads::SFTP,
    &stored::RELOADED,
];

/// What one round has to know.
struct Round {
    messages: usize,
    bytes: usize,
    random: u64,
}

/// What became of the messages of one round.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Accepted: put into the source, or answered with 2xx.
    accepted: usize,
    /// Accepted, and neither at the far end nor a dead letter.
    lost: usize,
    /// Arrived again.
    duplicates: usize,
    /// Arrived with bytes missing or wrong.
    damaged: usize,
    /// Accepted and given up, kept where dead letters are.
    dead: usize,
    /// Still at the source when everything was quiet.
    left: usize,
    /// Not accepted: answered with a fault, or not at all. They may have arrived all the same.
    refused: usize,
    /// Most duplicates that the fault explains.
    duplicates_max: usize,
}

impl Outcome {
    /// Compares what was accepted with what arrived.
    fn of(accepted: &HashSet<usize>, ledger: &Ledger) -> Self {
        Self {
            accepted: accepted.len(),
            lost: ledger.missing(accepted).len(),
            duplicates: ledger.duplicates(),
            damaged: ledger.damaged(),
            dead: 0,
            left: 0,
            refused: 0,
            duplicates_max: 0,
        }
    }

    fn is_good(&self, messages: usize) -> bool {
        let nothing_wrong = self.lost + self.damaged + self.dead + self.left == 0;
        nothing_wrong && self.accepted == messages && self.duplicates <= self.duplicates_max
    }
}

impl Round {
    fn new(drill: &Drill, messages: usize, seed: u64) -> Self {
        Self {
            messages,
            bytes: drill.bytes,
            random: seed,
        }
    }

    /// A random number (splitmix64).
    fn random(&mut self, range: Range<usize>) -> usize {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let wide = u128::from(mixed ^ (mixed >> 31)) * (range.end - range.start) as u128;
        range.start + usize::try_from(wide >> 64).expect("smaller than the range")
    }

    /// A number of messages somewhere in the middle of all.
    fn middle(&mut self) -> usize {
        self.random(self.messages / 10..self.messages * 8 / 10)
    }

    /// Several of them, in order.
    fn middles(&mut self, count: usize) -> Vec<usize> {
        let mut middles: Vec<_> = (0..count).map(|_| self.middle()).collect();
        middles.sort_unstable();
        middles
    }
}

/// Whether the long form is wanted.
fn is_long() -> bool {
    std::env::var("MEDIARY_DRILLS").is_ok_and(|form| form == "long")
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Different each time, unless it is given.
fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    number_of("MEDIARY_DRILLS_SEED").unwrap_or_else(|| now.map_or(0, |now| now.as_micros() as u64))
}

/// Runs a drill in the form that is wanted.
#[track_caller]
fn run(drill: &'static Drill) {
    if !is_long() {
        one_round(drill, drill.messages.0, seed());
        return;
    }
    let rounds = number_of("MEDIARY_DRILLS_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    let outcomes: Vec<_> = (0..rounds)
        .map(|_| one_round(drill, drill.messages.1, seed()))
        .collect();
    table::enter(drill, &outcomes);
}

/// Tells how it goes; seen when a test fails, or with `--nocapture`.
#[expect(
    clippy::print_stdout,
    reason = "helpers of tests print what a failed test shows"
)]
fn note(text: &str) {
    println!("{text}");
}

#[track_caller]
fn one_round(drill: &Drill, messages: usize, seed: u64) -> Outcome {
    let mut round = Round::new(drill, messages, seed);
    let started = std::time::Instant::now();
    note(&format!(
        "{}: {messages} messages, MEDIARY_DRILLS_SEED={seed}",
        drill.name
    ));
    let outcome = (drill.run)(&mut round);
    note(&format!("{}: {outcome:?} in {:?}", drill.name, started.elapsed()));
    let good = outcome.is_good(messages);
    assert!(good, "{} (MEDIARY_DRILLS_SEED={seed}): {outcome:#?}", drill.name);
    outcome
}
