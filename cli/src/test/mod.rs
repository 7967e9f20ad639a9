//! `mediary test`: runs the tests of a project. Each starts at a real listener and ends at a real endpoint or at a
//! mock, so what is tested is what will run.

pub mod body;
pub mod conversation;
mod coverage;
pub mod definition;
mod deliver;
mod diff;
pub mod expect;
mod json;
mod junit;
pub mod local;
mod mocks;
mod redirect;
pub mod runner;
mod sandbox;
pub mod suite;
#[cfg(test)]
mod tests;
mod xml;

use crate::arguments::TestOptions;
use crate::console::{BAD, Console, End, FAINT, GOOD, WARN, count, indented, paint};
use crate::gateway;
use crate::project::{Lasting, Loaded};
use crate::servers;
use coverage::Coverage;
use definition::TestCase;
use engine::workers::Workers;
use runner::{Outcome, Runner};
use std::time::Instant;
use tokio::runtime::Runtime;

/// Threads that serve in tests: enough to find what breaks when two threads meet.
const WORKERS: usize = 2;

/// Runs the command.
pub fn run(options: &TestOptions, console: &mut Console) -> End {
    let (mut loaded, tests) = suite::load(&options.project);
    loaded.build(&Lasting::default());
    loaded.report(console);
    if loaded.diagnostics.has_errors() {
        return End::Problems;
    }
    let (selected, left_out) = select(options, &tests);
    if selected.is_empty() {
        let text = match (&options.filter, tests.len()) {
            _ if left_out > 0 => "all these tests need servers: run them with `--live`".to_owned(),
            (Some(filter), 1..) => format!("no test has `{filter}` in its name"),
            _ => "no test was found: tests are in files that end with `.test.yaml`".to_owned(),
        };
        console.error(text);
        return End::Problems;
    }
    let started = gateway::control_runtime().and_then(|runtime| Ok((runtime, Workers::start(WORKERS)?)));
    let (runtime, workers) = match started {
        Ok(started) => started,
        Err(error) => {
            console.error(format_args!("threads cannot be started: {error}"));
            return End::Problems;
        }
    };
    if selected.iter().any(|test| test.live) && !servers_answer(&runtime, &loaded, console) {
        return End::Problems;
    }
    let mut runner = Runner {
        path: options.project.path.clone(),
        set: options.project.set.clone(),
        sources: loaded.project.sources.clone(),
        workers,
        coverage: Coverage::default(),
    };
    let began = Instant::now();
    let outcomes = runtime.block_on(run_all(&mut runner, &selected, console));
    if options.filter.is_none() {
        print_coverage(&runner.coverage, console);
    }
    print_totals(&outcomes, began, console);
    if left_out > 0 {
        let tests = count(left_out, "live test", "live tests");
        console.say(format_args!(
            "{tests} left out: `--live` runs all, with the project's servers"
        ));
    }
    if let Some(path) = &options.junit
        && let Err(problem) = junit::write(path, &outcomes)
    {
        console.error(problem);
        return End::Problems;
    }
    match outcomes.iter().all(Outcome::passed) {
        true => End::Fine,
        false => End::Problems,
    }
}

/// The tests to run, and how many are left out because they need servers.
fn select<'a>(options: &TestOptions, tests: &'a [TestCase]) -> (Vec<&'a TestCase>, usize) {
    let named = |test: &&TestCase| {
        let filter = options.filter.as_ref();
        filter.is_none_or(|text| test.name.value.contains(text.as_str()))
    };
    let (selected, left_out): (Vec<_>, Vec<_>) = tests
        .iter()
        .filter(named)
        .partition(|test| options.live || !test.live);
    (selected, left_out.len())
}

/// Whether the servers of live tests are there; if not, says which is missing.
fn servers_answer(runtime: &Runtime, loaded: &Loaded, console: &mut Console) -> bool {
    let missing = runtime.block_on(servers::missing(&loaded.project));
    for problem in &missing {
        console.error(problem);
    }
    missing.is_empty()
}

async fn run_all(runner: &mut Runner, tests: &[&TestCase], console: &mut Console) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for test in tests {
        let outcome = runner.run(test).await;
        let took = paint(FAINT, format!("({} ms)", outcome.took.as_millis()));
        match outcome.passed() {
            true => console.say(format_args!("{}    {} {took}", paint(GOOD, "ok"), outcome.name)),
            false => {
                console.say(format_args!("{}  {} {took}", paint(BAD, "FAIL"), outcome.name));
                console.say(indented(&outcome.text, "      "));
            }
        }
        outcomes.push(outcome);
    }
    outcomes
}

fn print_coverage(coverage: &Coverage, console: &mut Console) {
    let (steps, reached) = coverage.counts();
    if steps == 0 {
        return;
    }
    let percent = reached * 100 / steps;
    console.say(format_args!(
        "\nsteps reached: {reached} of {steps} ({percent} %)"
    ));
    for (place, mediator, id) in coverage.missed() {
        console.say(format_args!(
            "  {} {place}  {mediator}  {}",
            paint(WARN, "not reached"),
            paint(FAINT, id)
        ));
    }
}

fn print_totals(outcomes: &[Outcome], began: Instant, console: &mut Console) {
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    let failed = outcomes.len() - passed;
    let result = match failed {
        0 => paint(GOOD, format!("{} passed", count(passed, "test", "tests"))),
        _ => paint(
            BAD,
            format!("{} failed, {passed} passed", count(failed, "test", "tests")),
        ),
    };
    console.say(format_args!(
        "\n{result} in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
}
