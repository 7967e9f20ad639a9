//! The drills whose messages wait in a source and go to an HTTP backend: what they have in common.

use super::ledger::Ledger;
use super::sources::Source;
use super::{LIMIT, Outcome, Round, note};
use mediary_tests::{Backend, Gateway, Reply};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Between two looks at something that does not tell when it changes.
const POLL: Duration = Duration::from_millis(50);

/// One round: the source, the gateways that empty it, the backend with the ledger.
pub(super) struct Stage<'a> {
    pub(super) round: &'a mut Round,
    pub(super) source: &'a dyn Source,
    pub(super) ledger: Ledger,
    pub(super) backend: Backend,
    pub(super) gateways: Vec<Gateway>,
}

impl<'a> Stage<'a> {
    /// Fills the source and starts a gateway on it.
    pub(super) fn start(round: &'a mut Round, source: &'a dyn Source) -> Self {
        source.fill(round.messages, round.bytes);
        Self::of(round, source, 1)
    }

    /// Starts so many gateways on a source that is empty yet.
    pub(super) fn of(round: &'a mut Round, source: &'a dyn Source, gateways: usize) -> Self {
        let ledger = Ledger::new(round.bytes);
        let backend = backend(&ledger, round.random(0..3));
        let mut stage = Self {
            round,
            source,
            ledger,
            backend,
            gateways: Vec::new(),
        };
        stage.gateways = (0..gateways)
            .map(|variant| Gateway::start(stage.project(variant), &[]))
            .collect();
        stage
    }

    /// The project; the variant is told to the backend.
    fn project(&self, variant: usize) -> String {
        format!(
            "{}endpoints:\n  backend: {{ http: \"{}\" }}\nproxies:\n  pickup:\n    from: {}\n    steps: [ {{ set: {{ headers.x-variant: \"{variant}\" }} }}, {{ call: backend }} ]\n",
            self.source.connections(),
            self.backend.url(),
            self.source.entry(variant)
        )
    }

    /// Waits until so many messages have arrived.
    #[track_caller]
    pub(super) fn wait_for(&self, count: usize) {
        let reached = self.ledger.reaches(count, LIMIT);
        assert!(
            reached,
            "{} of {count} messages\n{}",
            self.ledger.different(),
            self.logs()
        );
    }

    /// Waits until the log of the gateway has a text so many times.
    #[track_caller]
    pub(super) fn wait_for_log(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.gateways[0].log().matches(text).count() < times {
            assert!(started.elapsed() < LIMIT, "{text}\n{}", self.logs());
            std::thread::sleep(POLL);
        }
    }

    /// SIGKILL to the gateway, and a new one on the same project.
    pub(super) fn kill_and_restart(&mut self) {
        let project = self.gateways.remove(0).kill();
        self.gateways.push(Gateway::start(project, &[]));
    }

    /// A changed file and SIGHUP; waits until the new configuration serves.
    pub(super) fn reload(&self, variant: usize) {
        reload(&self.gateways[0], &self.project(variant));
    }

    /// Which variants sent something to the backend.
    pub(super) fn variants_seen(&self) -> HashSet<String> {
        let requests = self.backend.requests();
        requests
            .iter()
            .map(|request| request.header("x-variant").to_owned())
            .collect()
    }

    /// Waits until everything has arrived and the source is empty, ends the gateways in order, and counts.
    pub(super) fn finish(mut self, duplicates_max: usize) -> Outcome {
        let sent: HashSet<_> = (0..self.round.messages).collect();
        let deadline = Instant::now() + LIMIT;
        self.ledger.reaches(sent.len(), LIMIT);
        while self.source.left() > 0 && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let logs = self.logs();
        // What was delivered and is not settled yet gets settled here, or is left.
        for gateway in self.gateways.drain(..) {
            gateway.terminate();
        }
        let outcome = Outcome {
            dead: self.source.dead(),
            left: self.source.left(),
            duplicates_max,
            ..Outcome::of(&sent, &self.ledger)
        };
        if !outcome.is_good(self.round.messages) {
            note(&format!("missing: {:?}\n{logs}", self.ledger.missing(&sent)));
        }
        outcome
    }

    fn logs(&self) -> String {
        let logs: Vec<_> = self.gateways.iter().map(Gateway::log).collect();
        logs.join("\n--- and\n")
    }
}

/// A backend that enters what arrives whole, and takes so many milliseconds to answer.
pub(super) fn backend(ledger: &Ledger, milliseconds: usize) -> Backend {
    let ledger = ledger.clone();
    let delay = Duration::from_millis(milliseconds as u64);
    Backend::start(move |request| {
        if request.complete {
            ledger.enter(&request.body);
        }
        Reply::status(200).delay(delay)
    })
}

/// A changed file and SIGHUP; waits until the new configuration serves.
pub(super) fn reload(gateway: &Gateway, project: &str) {
    let reloads = || gateway.log().matches("reloaded").count();
    let before = reloads();
    gateway.project().write("mediary.yaml", project);
    gateway.reload();
    let started = Instant::now();
    while reloads() == before {
        assert!(started.elapsed() < LIMIT, "no reload:\n{}", gateway.log());
        std::thread::sleep(POLL);
    }
}
