//! What a durable store costs: messages are put by many producers at once, as exchanges with clients would do it, and a processor takes,
//! delivers and settles each of them. All in this process, without network; pin it to a core with `taskset`.

use crate::{Outcome, say};
use bytes::Bytes;
use clap::Args;
use engine::gateway::Gateway;
use engine::registry::Registry;
use engine::store::{Fill, Store, StoredMessage};
use engine::workers::Workers;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Linux reports CPU time in ticks of this length (USER_HZ, fixed at 100 for user space; proc(5)).
const TICK: Duration = Duration::from_millis(10);
/// How often is looked whether the store is empty.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Args)]
pub(crate) struct Options {
    /// How many messages
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    messages: u64,
    /// Bytes of each body
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(0..=1 << 20))]
    bytes: u64,
    /// How many put at once; each waits until its message is on the disk before it puts the next
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    producers: u64,
    /// How many the processor delivers at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    parallel: u64,
    /// Starts the processor when all messages are in the store
    #[arg(long)]
    backlog: bool,
    /// The kind of store: durable or memory
    #[arg(long, default_value = "durable", value_parser = ["durable", "memory"])]
    kind: String,
    /// Where the file is written; a temporary folder by default
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Runs the measurement.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let temporary = tempfile::tempdir()?;
    let folder = options.folder.as_deref().unwrap_or(temporary.path());
    let yaml = format!(
        "stores:\n  s: {{ {}: {{ messages_max: 20000000, bytes_max: 64GiB }} }}\nprocessors:\n  p:\n    store: s\n    forward: {{ parallel: {}, steps: [ drop ] }}\n",
        options.kind, options.parallel
    );
    let registry = Registry {
        mediators: mediators::ALL,
        transports: &[],
        formats: &[],
    };
    let deployment = engine::testing::deployment_in(registry, &yaml, folder)?;
    let store = Arc::clone(deployment.stores.get("s").ok_or("there is no store")?);
    let workers = Workers::start(1)?;
    let gateway = Gateway::new(
        deployment,
        Arc::default(),
        Arc::default(),
        Arc::clone(&workers),
        None,
    );
    let (done, outcome) = std::sync::mpsc::channel();
    let measured = measure(options.clone_for_task(), gateway, store);
    workers.spawn(async move {
        // The receiver waits for exactly this.
        let _ = done.send(measured.await);
    });
    let report = outcome.recv()??;
    report.iter().try_for_each(|line| say(line))
}

/// What the task needs of the options.
struct Load {
    messages: u64,
    bytes: usize,
    producers: u64,
    backlog: bool,
}

impl Options {
    fn clone_for_task(&self) -> Load {
        Load {
            messages: self.messages,
            bytes: usize::try_from(self.bytes).unwrap_or(0),
            producers: self.producers,
            backlog: self.backlog,
        }
    }
}

async fn measure(load: Load, gateway: Arc<Gateway>, store: Arc<dyn Store>) -> Outcome<Vec<String>> {
    let text = |fault: engine::fault::Fault| fault.to_string();
    if load.backlog {
        store.open().await.map_err(text)?;
    } else {
        gateway.bind().await.map_err(text)?;
    }
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let body = Bytes::from(vec![b'x'; load.bytes]);
    let mut producers = JoinSet::new();
    for producer in 0..load.producers {
        let share = load.messages / load.producers + u64::from(producer < load.messages % load.producers);
        producers.spawn(put(share, body.clone(), Arc::clone(&store)));
    }
    while let Some(ended) = producers.join_next().await {
        ended?.map_err(text)?;
    }
    let mut report = vec![line("put", &load, started, cpu_time()?.saturating_sub(cpu))];
    if load.backlog {
        gateway.bind().await.map_err(text)?;
    }
    while store.fill() != Some(Fill::default()) {
        tokio::time::sleep(LOOK).await;
    }
    report.push(line(
        "put + take + deliver + settle",
        &load,
        started,
        cpu_time()?.saturating_sub(cpu),
    ));
    Ok(report)
}

async fn put(count: u64, body: Bytes, store: Arc<dyn Store>) -> Result<(), engine::fault::Fault> {
    for _ in 0..count {
        store.put(message(body.clone())).await?;
    }
    Ok(())
}

/// As a client's POST with the headers that clients send.
fn message(body: Bytes) -> StoredMessage {
    let uri = http::Uri::from_static("/orders?source=bench");
    let mut message = engine::message::Message::request(http::Method::POST, uri);
    for (name, value) in [
        ("accept", "*/*"),
        ("content-type", "application/json"),
        ("user-agent", "mediary-bench"),
        ("x-customer", "4711"),
    ] {
        message
            .headers
            .insert(name, http::HeaderValue::from_static(value));
    }
    message.payload = engine::payload::Payload::bytes(body);
    StoredMessage::new(message, "0190b6a0-0000-7000-8000-000000000000", None)
}

fn line(what: &str, load: &Load, started: Instant, cpu: Duration) -> String {
    let seconds = started.elapsed().as_secs_f64();
    let messages = load.messages as f64;
    format!(
        "{what}: {} messages of {} bytes in {seconds:.2} s, {:.0}/s; CPU {:.1} us per message, {:.0} messages per second of one core",
        load.messages,
        load.bytes,
        messages / seconds,
        cpu.as_secs_f64() * 1e6 / messages,
        messages / cpu.as_secs_f64(),
    )
}

/// User and system time of this process, all threads, exact to 10 ms.
fn cpu_time() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the command in parentheses; utime and stime are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no command in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.map(|field| field.parse::<u32>().unwrap_or(0)).sum();
    Ok(TICK * ticks)
}
