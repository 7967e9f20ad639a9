//! Messages that are answered with 202, kept in a durable store, and forwarded: Mediary is killed or reloaded in the middle.

use super::ledger::Ledger;
use super::load::Load;
use super::pickup::{backend, reload};
use super::{Drill, LIMIT, Outcome, Round, note};
use mediary_tests::{Backend, Gateway, get};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Between two looks at the store.
const POLL: Duration = Duration::from_millis(50);
/// Deliveries at once.
const PARALLEL: usize = 16;
/// Most messages that are delivered while the removals of others wait for their commit. Removals are written in the order of the
/// deliveries, one commit for all that wait; a commit takes a few milliseconds, or a hundred where the disk is busy.
const REMOVALS_MAX: usize = 2_000;

pub(super) static KILLED: Drill = Drill {
    name: "Mediary killed, stored messages",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "Messages that the backend had and whose removal from the store was not on the disk yet are forwarded again: those in work (`parallel: 16`) and those of the last commit.",
    run: |round| {
        let mut stored = Stored::start(round);
        let point = round.middle();
        assert!(stored.load.reaches(LIMIT, |load| load.accepted() >= point));
        stored.kill_and_restart();
        stored.finish(PARALLEL + REMOVALS_MAX)
    },
};

pub(super) static RELOADED: Drill = Drill {
    name: "Reload, stored messages",
    messages: (1_000, 10_000),
    bytes: 1_000,
    duplicates: "None: the old processor finishes what it has begun.",
    run: |round| {
        let stored = Stored::start(round);
        for (variant, point) in (1..).zip(round.middles(4)) {
            assert!(stored.load.reaches(LIMIT, |load| load.accepted() >= point));
            reload(&stored.gateway, &stored.project(variant));
        }
        stored.finish(0)
    },
};

/// One round: clients, a gateway with a store, a backend with the ledger.
pub(super) struct Stored {
    pub(super) load: Load,
    pub(super) gateway: Gateway,
    pub(super) ledger: Ledger,
    backend: Backend,
    file: PathBuf,
    _folder: Option<TempDir>,
}

impl Stored {
    /// With the store in a folder of its own and a backend that is there.
    fn start(round: &mut Round) -> Self {
        let folder = TempDir::with_prefix("mediary-drill-").unwrap();
        let ledger = Ledger::new(round.bytes);
        let backend = backend(&ledger, round.random(0..3));
        let mut stored = Self::with(round, folder.path(), ledger, backend);
        stored._folder = Some(folder);
        stored
    }

    /// With the store in this folder.
    pub(super) fn with(round: &Round, folder: &Path, ledger: Ledger, backend: Backend) -> Self {
        let file = folder.join("orders.redb");
        let gateway = Gateway::start(project(&file, &backend, 0), &[]);
        Self {
            load: Load::start(entry(&gateway), round.messages, round.bytes),
            gateway,
            ledger,
            backend,
            file,
            _folder: None,
        }
    }

    fn project(&self, variant: usize) -> String {
        project(&self.file, &self.backend, variant)
    }

    fn kill_and_restart(&mut self) {
        // A gateway has to be there: the new one takes the place of the old one, which is dead by then.
        let fresh = project(&self.file, &self.backend, 0);
        self.gateway.signal("KILL");
        let started = Instant::now();
        while self.gateway.is_running() {
            assert!(started.elapsed() < LIMIT, "SIGKILL ends a process");
            std::thread::sleep(POLL);
        }
        self.gateway = Gateway::start(fresh, &[]);
        self.load.turn_to(entry(&self.gateway));
    }

    /// Waits until all are accepted and have arrived and the store is empty, ends the gateway in order, and counts.
    pub(super) fn finish(mut self, duplicates_max: usize) -> Outcome {
        let all = self.load.ends(LIMIT);
        let accepted = self.load.numbers();
        let deadline = Instant::now() + LIMIT;
        let arrived = |ledger: &Ledger| ledger.missing(&accepted).is_empty();
        while (!arrived(&self.ledger) || left(&self.gateway) > 0) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let log = self.gateway.log();
        self.gateway.terminate();
        // What the file has now is what a restart would deliver.
        let left = left(&Gateway::start(without_processor(&self.file), &[]));
        let outcome = Outcome {
            left,
            refused: self.load.refused(),
            duplicates_max,
            ..Outcome::of(&accepted, &self.ledger)
        };
        if !all || !outcome.is_good(accepted.len()) {
            let missing = self.ledger.missing(&accepted);
            note(&format!(
                "missing: {missing:?}, refused: {:?}\n{log}",
                self.load.refusals()
            ));
        }
        outcome
    }
}

fn entry(gateway: &Gateway) -> String {
    format!("{}/in", gateway.url("http"))
}

fn without_processor(file: &Path) -> String {
    let file = file.display();
    format!(
        "stores:\n  orders: {{ durable: {{ path: \"{file}\" }} }}\nproxies:\n  accept:\n    from: {{ http: /in }}\n    steps: [ {{ store: {{ in: orders, respond: true }} }} ]\n"
    )
}

fn project(file: &Path, backend: &Backend, variant: usize) -> String {
    format!(
        "{}endpoints:\n  backend: {{ http: \"{}\" }}\nprocessors:\n  forward:\n    store: orders\n    forward: {{ to: backend, parallel: {}, backoff: 100ms, backoff_max: 1s }}\n",
        without_processor(file),
        backend.url(),
        PARALLEL + variant
    )
}

/// How many messages the store has.
fn left(gateway: &Gateway) -> usize {
    let url = format!("{}/stores", gateway.url("management"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stores = runtime.block_on(get(&url)).expect_status(200).json();
    let messages = stores["stores"][0]["messages"].as_u64();
    usize::try_from(messages.unwrap_or_else(|| panic!("no count in {stores}"))).unwrap()
}

#[test]
fn killed_in_the_middle_of_stored_messages() {
    super::run(&KILLED);
}

#[test]
fn reloaded_in_the_middle_of_stored_messages() {
    super::run(&RELOADED);
}
