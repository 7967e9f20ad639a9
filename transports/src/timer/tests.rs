//! Timers in paused time, and through a gateway.

use super::schedule::Schedule;
use super::ticker::{self, Phase, Plan, Tick};
use croner::parser::{CronParser, Seconds};
use engine::registry::Registry;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

fn cron(text: &str, zone: &str) -> Schedule {
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    Schedule::cron(parser.parse(text).unwrap(), text, TimeZone::get(zone).unwrap())
}

/// The next times after one, in the zone of the schedule.
fn times(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let mut at: Timestamp = after.parse().unwrap();
    let next = |_| {
        at = schedule.next_after(at).unwrap();
        at.to_string()
    };
    (0..count).map(next).collect()
}

#[test]
fn cron_follows_its_zone() {
    let nightly = cron("0 2 * * *", "America/New_York");
    let found = times(&nightly, "2026-01-10T00:00:00Z", 2);
    assert_eq!(found, ["2026-01-10T07:00:00Z", "2026-01-11T07:00:00Z"]);
    let found = times(&cron("*/20 * * * * *", "UTC"), "2026-01-10T00:00:01Z", 3);
    assert_eq!(
        found,
        [
            "2026-01-10T00:00:20Z",
            "2026-01-10T00:00:40Z",
            "2026-01-10T00:01:00Z"
        ]
    );
}

#[test]
fn an_hour_that_daylight_saving_leaves_out_or_repeats_runs_once() {
    let nightly = cron("30 2 * * *", "Europe/Vienna");
    // 2026-03-29: 02:00 becomes 03:00. The time that is not there comes when the gap is over.
    let found = times(&nightly, "2026-03-28T12:00:00Z", 2);
    assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // 2026-10-25: 03:00 becomes 02:00, and 02:30 is there twice.
    let found = times(&nightly, "2026-10-24T12:00:00Z", 2);
    assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

/// A timer under test, and the ticks that it delivered with the time since its start.
struct Bench {
    ticks: Arc<Mutex<Vec<(Duration, Tick)>>>,
    phase: watch::Sender<Phase>,
    task: tokio::task::JoinHandle<()>,
}

const START: &str = "2026-01-10T00:00:00Z";

fn bench(plan: Plan, run: Duration) -> Bench {
    let ticks = Arc::new(Mutex::new(Vec::new()));
    let (phase, watched) = watch::channel(Phase::Running);
    let began = Instant::now();
    let start: Timestamp = START.parse().unwrap();
    let seen = Arc::clone(&ticks);
    let deliver = move |tick| {
        let seen = Arc::clone(&seen);
        async move {
            seen.lock().push((began.elapsed(), tick));
            sleep(run).await;
        }
    };
    let wall = move || start + began.elapsed();
    let task = tokio::spawn(async move { ticker::run(&plan, "test", wall, watched, deliver).await });
    Bench { ticks, phase, task }
}

fn plan(schedule: Schedule) -> Plan {
    Plan {
        schedule,
        run_at_start: false,
        overlap: false,
        jitter: Duration::ZERO,
    }
}

impl Bench {
    fn seconds(&self) -> Vec<u64> {
        self.ticks.lock().iter().map(|(at, _)| at.as_secs()).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_interval_keeps_its_beat_and_runs_at_start_if_told() {
    let bench = bench(
        Plan {
            run_at_start: true,
            ..plan(Schedule::Every(10 * SECOND))
        },
        3 * SECOND,
    );
    sleep(31 * SECOND).await;
    assert_eq!(bench.seconds(), [0, 10, 20, 30]);
    assert_eq!(bench.ticks.lock()[3].1.number, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_during_a_run_is_skipped_and_counted() {
    let bench = bench(plan(Schedule::Every(10 * SECOND)), 25 * SECOND);
    sleep(75 * SECOND).await;
    assert_eq!(bench.seconds(), [10, 40, 70]);
    let last = bench.ticks.lock()[2].1;
    assert_eq!((last.number, last.skipped), (7, 4));
}

#[tokio::test(start_paused = true)]
async fn runs_overlap_if_told_up_to_a_limit() {
    let bench = bench(
        Plan {
            overlap: true,
            ..plan(Schedule::Every(SECOND))
        },
        1000 * SECOND,
    );
    sleep(100 * SECOND).await;
    assert_eq!(bench.ticks.lock().len(), 16);
}

#[tokio::test(start_paused = true)]
async fn the_wall_clock_rules_a_cron_expression() {
    let bench = bench(plan(cron("*/5 * * * *", "Europe/Vienna")), SECOND);
    sleep(601 * SECOND).await;
    assert_eq!(bench.seconds(), [300, 600]);
    assert_eq!(
        bench.ticks.lock()[1].1.scheduled.to_string(),
        "2026-01-10T00:10:00Z"
    );
}

#[tokio::test(start_paused = true)]
async fn jitter_delays_but_keeps_the_beat() {
    let bench = bench(
        Plan {
            jitter: 5 * SECOND,
            ..plan(Schedule::Every(10 * SECOND))
        },
        Duration::ZERO,
    );
    sleep(106 * SECOND).await;
    let ticks = bench.ticks.lock().clone();
    assert_eq!(ticks.len(), 10);
    let delays: Vec<u128> = ticks.iter().map(|(at, _)| at.as_millis() % 10_000).collect();
    assert!(delays.iter().all(|delay| *delay <= 5_002), "{delays:?}");
    assert!(delays.iter().any(|delay| *delay != delays[0]), "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn draining_starts_nothing_and_lets_a_run_end() {
    let bench = bench(plan(Schedule::Every(10 * SECOND)), 25 * SECOND);
    sleep(11 * SECOND).await;
    bench.phase.send_replace(Phase::Draining);
    let at = Instant::now();
    let Bench { ticks, task, phase } = bench;
    task.await.unwrap();
    assert_eq!(at.elapsed().as_secs(), 24);
    assert_eq!(ticks.lock().len(), 1);
    drop(phase);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_run() {
    let bench = bench(plan(Schedule::Every(10 * SECOND)), 25 * SECOND);
    sleep(11 * SECOND).await;
    bench.phase.send_replace(Phase::Stopped);
    let at = Instant::now();
    bench.task.await.unwrap();
    assert_eq!(at.elapsed(), Duration::ZERO);
}

fn problems(settings: &str) -> String {
    let registry = Registry {
        mediators: &[],
        transports: crate::ALL,
        formats: &[],
    };
    let yaml = format!("tasks:\n  t:\n    schedule: {settings}\n    steps: []\n");
    engine::testing::deployment(registry, &yaml)
        .err()
        .unwrap_or_default()
}

#[test]
fn what_is_wrong_is_said_at_load_with_its_place() {
    for (settings, at, problem) in [
        ("soon", "3:15", "not a duration"),
        ("0s", "3:15", "this is no interval"),
        ("'61 2 * * *'", "3:15", "this is no cron expression"),
        ("'0 0 30 2 *'", "3:15", "this time never comes"),
        (
            "{ cron: '0 2 * * *', time_zone: Europe/Wien }",
            "3:47",
            "there is no time zone `Europe/Wien`",
        ),
        (
            "{ every: 1s, time_zone: UTC }",
            "3:39",
            "an interval has no time zone",
        ),
        (
            "{ every: 1s, cron: '@daily' }",
            "3:15",
            "exactly one of `every` and `cron`",
        ),
        (
            "{ run_at_start: true }",
            "3:15",
            "exactly one of `every` and `cron`",
        ),
        ("{ evry: 1s }", "3:17", "unknown key `evry`"),
    ] {
        let found = problems(settings);
        assert!(
            found.contains(problem) && found.contains(at),
            "{settings}: {found}"
        );
    }
    for settings in [
        "10s",
        "'@hourly'",
        "'0 2 * * *'",
        "{ cron: '0 30 2 * * 1-5', time_zone: Europe/Vienna, jitter: 1m }",
        "{ every: 1h30m, run_at_start: true, overlap: true }",
    ] {
        assert_eq!(problems(settings), "", "{settings}");
    }
}
