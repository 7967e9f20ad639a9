//! The settings of a timer, checked at load.

use super::Timer;
use super::schedule::Schedule;
use super::ticker::Plan;
use croner::parser::{CronParser, Seconds};
use engine::build::Build;
use engine::config::{Duration, Node, Spanned, expand_shorthand};
use engine::registry::EntryPoint;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// When messages come: `every` or `cron`, one of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TimerConfig {
    /// The interval, from start to start: `10s`. At least 1ms. It follows a clock that nobody sets.
    pub every: Option<Spanned<Duration>>,
    /// A cron expression: minute, hour, day of month, month, day of week (0 and 7 are Sunday), with seconds before them where there are
    /// six fields; `@daily` and the like, `L`, `#` and `W` are known. It follows the wall clock: a fixed time that daylight saving leaves
    /// out comes as soon as it is over, one that it repeats comes once.
    pub cron: Option<Spanned<String>>,
    /// The zone of `cron`, by its IANA name: `Europe/Vienna`. Without it UTC.
    pub time_zone: Option<Spanned<String>>,
    /// A message at the start as well; a reload that changes these settings is a start.
    #[serde(default)]
    pub run_at_start: bool,
    /// Lets runs overlap, up to 16 at once. By default what is due while the last run is still going is skipped.
    #[serde(default)]
    pub overlap: bool,
    /// Delays each message by a random time up to this one, so that many gateways do not start at the same moment.
    pub jitter: Option<Duration>,
}

/// Builds the timer of an artifact.
pub(super) fn build(artifact: &Arc<str>, node: &Node, cx: &mut Build<'_>) -> Option<EntryPoint> {
    let config: TimerConfig = cx.read(&expand_shorthand(node, shorthand(node)))?;
    let schedule = schedule(&config, node, cx)?;
    let settings = format!(
        "{schedule} run_at_start={} overlap={} jitter={}",
        config.run_at_start,
        config.overlap,
        config.jitter.unwrap_or_default(),
    );
    Some(EntryPoint::Listener(Arc::new(Timer {
        artifact: Arc::clone(artifact),
        plan: Arc::new(Plan {
            schedule,
            run_at_start: config.run_at_start,
            overlap: config.overlap,
            jitter: config.jitter.unwrap_or_default().into(),
        }),
        settings,
    })))
}

/// What a text alone stands for: durations have no spaces, cron expressions begin with `@` or have some.
fn shorthand(node: &Node) -> &'static str {
    match node.as_str().map(str::trim) {
        Some(text) if text.starts_with('@') || text.contains(' ') => "cron",
        _ => "every",
    }
}

fn schedule(config: &TimerConfig, node: &Node, cx: &mut Build<'_>) -> Option<Schedule> {
    let zone = match &config.time_zone {
        Some(name) => zone(name, cx),
        None => Some(TimeZone::UTC),
    };
    match (&config.every, &config.cron) {
        (Some(every), None) => {
            if let Some(zone) = &config.time_zone {
                let help = Some("it belongs to `cron`".to_owned());
                cx.error(
                    "config.bad_value",
                    zone.span,
                    "an interval has no time zone",
                    help,
                );
            }
            interval(every, cx)
        }
        (None, Some(cron)) => self::cron(cron, zone?, cx),
        _ => {
            let help = Some("such as `every: 10s` or `cron: \"0 2 * * *\"`".to_owned());
            cx.error(
                "config.bad_value",
                node.span,
                "a timer has exactly one of `every` and `cron`",
                help,
            );
            None
        }
    }
}

fn interval(every: &Spanned<Duration>, cx: &mut Build<'_>) -> Option<Schedule> {
    let interval = std::time::Duration::from(every.value);
    if interval.is_zero() {
        let help = Some("give it at least `1ms`".to_owned());
        cx.error("config.bad_value", every.span, "this is no interval", help);
        return None;
    }
    Some(Schedule::Every(interval))
}

fn zone(name: &Spanned<String>, cx: &mut Build<'_>) -> Option<TimeZone> {
    let zone = TimeZone::get(&name.value);
    if zone.is_err() {
        let help = Some("give its IANA name, such as `Europe/Vienna` or `UTC`".to_owned());
        let problem = format!("there is no time zone `{}`", name.value);
        cx.error("config.bad_value", name.span, problem, help);
    }
    zone.ok()
}

fn cron(text: &Spanned<String>, zone: TimeZone, cx: &mut Build<'_>) -> Option<Schedule> {
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    let cron = match parser.parse(&text.value) {
        Ok(cron) => cron,
        Err(problem) => {
            let help =
                Some("minute, hour, day of month, month, day of week: `30 2 * * 1-5`, `@daily`".to_owned());
            let problem = format!("this is no cron expression: {problem}");
            cx.error("config.bad_value", text.span, problem, help);
            return None;
        }
    };
    let schedule = Schedule::cron(cron, &text.value, zone);
    if schedule.next_after(jiff::Timestamp::now()).is_none() {
        cx.error("config.bad_value", text.span, "this time never comes", None);
        return None;
    }
    Some(schedule)
}
