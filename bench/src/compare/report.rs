//! Results: per round and contestant, with minimum, median and the ratio to the baseline of the same round;
//! as JSON for tools and as a Markdown table for people.

use super::scenario::Scenario;
use crate::Outcome;
use crate::histogram::Latency;
use crate::load::Report as LoadReport;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Characters of the longest bar.
const BAR_LENGTH: f64 = 24.0;

/// One contestant in one round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    /// User and system time of the contestant's process tree per message.
    cpu_us_per_message: f64,
    requests_per_second: f64,
    completed: u64,
    errors: u64,
    first_error: Option<String>,
    latency: Latency,
    peak_memory_bytes: u64,
    /// Growth of the resident memory per idle connection, where it was measured.
    idle_bytes_per_connection: Option<f64>,
    /// From exec to the first reply with status 200.
    start_ms: f64,
}

/// One contestant over all rounds.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    name: String,
    pub(super) rounds: Vec<Round>,
}

/// A whole comparison.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    id: String,
    title: String,
    machine: Machine,
    connections: u64,
    warm_up_seconds: u64,
    seconds: u64,
    baseline: String,
    contestants: Vec<Summary>,
}

#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    cpu_us_per_message_min: f64,
    cpu_us_per_message_median: f64,
    /// Median of the ratios to the baseline, each within one round; none when the baseline did not run.
    ratio_to_baseline: Option<f64>,
    requests_per_second_median: f64,
    p50_us: u64,
    p99_us: u64,
    peak_memory_bytes: u64,
    idle_bytes_per_connection_median: Option<f64>,
    start_ms_median: f64,
    errors: u64,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    measured_at_unix_seconds: u64,
}

impl Round {
    pub(super) fn new(load: &LoadReport, cpu: Duration, start_time: Duration) -> Self {
        Self {
            cpu_us_per_message: cpu.as_secs_f64() * 1e6 / load.completed.max(1) as f64,
            requests_per_second: load.requests_per_second,
            completed: load.completed,
            errors: load.errors,
            first_error: load.first_error.clone(),
            latency: load.latency.clone(),
            peak_memory_bytes: 0,
            idle_bytes_per_connection: None,
            start_ms: start_time.as_secs_f64() * 1e3,
        }
    }

    /// Adds what was found about memory.
    pub(super) fn with_memory(mut self, peak_bytes: u64, idle_bytes_per_connection: Option<f64>) -> Self {
        self.peak_memory_bytes = peak_bytes;
        self.idle_bytes_per_connection = idle_bytes_per_connection;
        self
    }

    /// One line of progress.
    pub(super) fn line(&self) -> String {
        let mut line = format!(
            "{:7.2} us/message  {:7.0} req/s  p99 {:6} us  errors {}",
            self.cpu_us_per_message, self.requests_per_second, self.latency.p99_us, self.errors
        );
        if let Some(error) = &self.first_error {
            line.push_str(&format!(" ({error})"));
        }
        line
    }
}

impl Standing {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rounds: Vec::new(),
        }
    }

    fn summary(self, baseline: Option<&[Round]>) -> Summary {
        let cpu = || self.rounds.iter().map(|round| round.cpu_us_per_message);
        let ratios = baseline.map(|rounds| {
            let pairs = cpu().zip(rounds);
            median(pairs.map(|(own, other)| own / other.cpu_us_per_message).collect())
        });
        let idle: Vec<_> = self
            .rounds
            .iter()
            .filter_map(|round| round.idle_bytes_per_connection)
            .collect();
        Summary {
            cpu_us_per_message_min: cpu().fold(f64::INFINITY, f64::min),
            cpu_us_per_message_median: median(cpu().collect()),
            ratio_to_baseline: ratios,
            requests_per_second_median: median(
                self.rounds
                    .iter()
                    .map(|round| round.requests_per_second)
                    .collect(),
            ),
            p50_us: middle(self.rounds.iter().map(|round| round.latency.p50_us).collect()),
            p99_us: middle(self.rounds.iter().map(|round| round.latency.p99_us).collect()),
            peak_memory_bytes: self
                .rounds
                .iter()
                .map(|round| round.peak_memory_bytes)
                .max()
                .unwrap_or(0),
            idle_bytes_per_connection_median: Some(idle).filter(|idle| !idle.is_empty()).map(median),
            start_ms_median: median(self.rounds.iter().map(|round| round.start_ms).collect()),
            errors: self.rounds.iter().map(|round| round.errors).sum(),
            name: self.name,
            rounds: self.rounds,
        }
    }
}

/// Puts the rounds together.
pub(super) fn build(scenario: &Scenario, options: &super::Options, standings: Vec<Standing>) -> Report {
    let baseline = standings
        .iter()
        .find(|standing| standing.name == scenario.baseline);
    let baseline: Option<Vec<Round>> = baseline.map(|standing| standing.rounds.clone());
    let summaries = standings
        .into_iter()
        .map(|standing| standing.summary(baseline.as_deref()));
    Report {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        machine: Machine::this(),
        connections: options.connections,
        warm_up_seconds: options.warm_up,
        seconds: options.seconds,
        baseline: scenario.baseline.clone(),
        contestants: summaries.collect(),
    }
}

impl Report {
    /// The table, with a bar per contestant.
    pub(super) fn markdown(&self) -> String {
        let rounds = self.contestants.first().map_or(0, |summary| summary.rounds.len());
        let mut text = format!(
            "# {}: {}\n\n{} connections, {rounds} interleaved rounds of {} s after {} s of warm-up. {}, {} cores, \
             Linux {}.\nCPU time is user + system of the whole process tree per completed message; the ratio is \
             taken within each round.\n\n",
            self.id,
            self.title,
            self.connections,
            self.seconds,
            self.warm_up_seconds,
            self.machine.processor,
            self.machine.cores,
            self.machine.kernel
        );
        let _ = writeln!(
            text,
            "| contestant | CPU us/message, min | median | ratio to {} | req/s | p50 us | p99 us | peak MB | idle KB each | start ms \
             | errors | |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            self.baseline
        );
        let longest = self
            .contestants
            .iter()
            .map(|row| row.cpu_us_per_message_median)
            .fold(0.0, f64::max);
        for row in &self.contestants {
            let _ = writeln!(text, "{}", row.markdown(longest));
        }
        text
    }

    /// Writes `ID.json` and `ID.md`.
    pub(super) fn write(&self, folder: &Path) -> Outcome<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(
            folder.join(format!("{}.json", self.id)),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        Ok(std::fs::write(
            folder.join(format!("{}.md", self.id)),
            self.markdown(),
        )?)
    }

    /// A figure that wrong replies went into is no figure.
    pub(super) fn verdict(&self) -> Outcome<()> {
        for row in &self.contestants {
            if row.errors > 0 || row.rounds.iter().any(|round| round.completed == 0) {
                let first = row
                    .rounds
                    .iter()
                    .find_map(|round| round.first_error.clone())
                    .unwrap_or_default();
                return Err(format!("{} gave {} wrong replies: {first}", row.name, row.errors).into());
            }
        }
        Ok(())
    }
}

impl Summary {
    fn markdown(&self, longest: f64) -> String {
        let ratio = self
            .ratio_to_baseline
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let idle = self
            .idle_bytes_per_connection_median
            .map_or_else(|| "-".to_owned(), |bytes| format!("{:.2}", bytes / 1e3));
        let length = if longest > 0.0 {
            BAR_LENGTH * self.cpu_us_per_message_median / longest
        } else {
            0.0
        };
        let bar = "█".repeat(length.round() as usize);
        format!(
            "| {} | {:.2} | {:.2} | {ratio} | {:.0} | {} | {} | {:.1} | {idle} | {:.1} | {} | {bar} |",
            self.name,
            self.cpu_us_per_message_min,
            self.cpu_us_per_message_median,
            self.requests_per_second_median,
            self.p50_us,
            self.p99_us,
            self.peak_memory_bytes as f64 / 1e6,
            self.start_ms_median,
            self.errors
        )
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or("unknown processor");
        Self {
            processor: model.trim_start_matches(['\t', ' ', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            measured_at_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(cpu: f64) -> Round {
        let load = LoadReport {
            completed: 1000,
            errors: 0,
            first_error: None,
            seconds: 1.0,
            requests_per_second: 1000.0,
            latency: Latency::default(),
        };
        Round::new(&load, Duration::from_secs_f64(cpu * 1e-3), Duration::ZERO)
    }

    #[test]
    fn the_ratio_is_taken_within_each_round() {
        // The machine was twice as slow in the second round; the ratio does not notice.
        let base = [round(10.0), round(20.0), round(10.0)];
        let own = Standing {
            name: "own".to_owned(),
            rounds: vec![round(15.0), round(30.0), round(15.0)],
        };
        let summary = own.summary(Some(&base));
        assert!((summary.ratio_to_baseline.unwrap() - 1.5).abs() < 1e-9);
        assert!((summary.cpu_us_per_message_min - 15.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
