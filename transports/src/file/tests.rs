//! Through YAML, a gateway and folders.

use crate::http::testing::PATIENCE;
use engine::build::Build;
use engine::exchange::Exchange;
use engine::fault::{Fault, FaultCode};
use engine::gateway::Gateway;
use engine::mediator::{AsyncMediator, BoxFuture, Flow, Needs, StepKind, asynchronous};
use engine::message::StartLine;
use engine::registry::{Registry, StepConfig, StepSpec};
use engine::testing;
use http::StatusCode;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

static SEEN: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);

/// `- record: KEY` remembers `PATH=CONTENT`; with `fails` so many times with a fault first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Record {
    key: String,
    #[serde(default)]
    fails: usize,
    #[serde(default)]
    finally: bool,
    #[serde(default)]
    wait: bool,
}

impl StepConfig for Record {
    const NAME: &'static str = "record";
    const EXAMPLE: &'static str = "- record: key";
    const SHORTHAND: Option<&'static str> = Some("key");

    fn build(self, _: &mut Build<'_>) -> Option<StepKind> {
        Some(asynchronous(self))
    }
}

impl AsyncMediator for Record {
    fn needs(&self) -> Needs {
        Needs::Bytes
    }

    fn mediate<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Flow, Fault>> {
        Box::pin(async move {
            let bytes = exchange.message.payload.as_bytes().cloned().unwrap_or_default();
            let path = exchange
                .entry
                .source
                .get()
                .map_or("", |source| source["path"].as_str().unwrap());
            let line = format!("{path}={}", String::from_utf8_lossy(&bytes));
            let count = {
                let mut seen = SEEN.lock();
                let lines = seen.get_or_insert_default().entry(self.key.clone()).or_default();
                lines.push(line);
                lines.len()
            };
            if self.wait {
                std::future::pending::<()>().await;
            }
            if count <= self.fails {
                return Err(Fault::new(
                    if self.finally {
                        FaultCode::Validation
                    } else {
                        FaultCode::Connect
                    },
                    "no",
                ));
            }
            exchange.message.start = StartLine::Response {
                status: StatusCode::OK,
            };
            Ok(Flow::Respond)
        })
    }
}

static STEPS: &[StepSpec] = &[StepSpec::of::<Record>()];

fn registry() -> Registry {
    Registry {
        mediators: STEPS,
        transports: crate::ALL,
        formats: &[],
    }
}

fn seen(key: &str) -> Vec<String> {
    let mut lines = SEEN
        .lock()
        .get_or_insert_default()
        .get(key)
        .cloned()
        .unwrap_or_default();
    lines.sort();
    lines
}

fn project(key: &str, settings: &str, step: &str) -> String {
    format!(
        "settings:\n  listeners: {{ http: {{ port: 0, address: 127.0.0.1 }} }}\n  management: {{ port: 0 }}\n  shutdown_grace: 200ms\nproxies:\n  p:\n    from:\n      file: {{ folder: in, every: 20ms, {settings} }}\n    steps:\n      - record: {{ key: {key}, {step} }}\n"
    )
}

struct Running {
    gateway: Arc<Gateway>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(folder: &Path, yaml: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let deployment =
            testing::deployment_in(registry(), yaml, folder).unwrap_or_else(|text| panic!("{text}"));
        let gateway = testing::gateway(deployment, 2);
        runtime.block_on(gateway.bind()).unwrap();
        Self { gateway, runtime }
    }

    fn drain(self) {
        self.runtime.block_on(self.gateway.drain());
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    folder
}

/// Names below a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn files_are_delivered_and_moved() {
    let root = folder();
    let input = root.path().join("in");
    let long = format!("{}.csv", "n".repeat(251));
    let large = "x".repeat(300_000);
    for (name, content) in [
        ("a.csv", "1"),
        ("empty.csv", ""),
        ("new\nline.csv", "3"),
        (&*long, "4"),
        ("large.csv", &*large),
    ] {
        fs::write(input.join(name), content).unwrap();
    }
    fs::write(input.join("other.txt"), "no").unwrap();
    fs::write(input.join(".hidden.csv"), "no").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", input.join("link.csv")).unwrap();
    let running = Running::start(root.path(), &project("moved", "pattern: '*.csv'", ""));
    until("five deliveries", || names(&input.join(".done")).len() == 5);
    let seen = seen("moved");
    assert_eq!(seen.len(), 5);
    assert!(seen.contains(&"a.csv=1".to_owned()) && seen.contains(&"empty.csv=".to_owned()));
    assert!(seen.contains(&"new\nline.csv=3".to_owned()) && seen.contains(&format!("{long}=4")));
    assert!(seen.contains(&format!("large.csv={large}")));
    // The same name once more does not replace what is kept.
    fs::write(input.join("a.csv"), "2").unwrap();
    until("a sixth", || names(&input.join(".done")).len() == 6);
    running.drain();
    assert_eq!(
        names(&input),
        [".done", ".hidden.csv", ".mediary", "link.csv", "other.txt"]
    );
    assert_eq!(names(&input.join(".mediary")), Vec::<String>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_moved_aside() {
    use std::os::unix::ffi::OsStrExt;
    let root = folder();
    let input = root.path().join("in");
    fs::write(input.join(std::ffi::OsStr::from_bytes(b"bad\xff.csv")), "1").unwrap();
    fs::write(input.join("good.csv"), "1").unwrap();
    let running = Running::start(root.path(), &project("utf8", "after: delete", ""));
    until("the good one", || seen("utf8") == ["good.csv=1"]);
    until("the bad one aside", || names(&input.join(".failed")).len() == 1);
    running.drain();
}

#[test]
fn two_listeners_share_a_folder() {
    let root = folder();
    let input = root.path().join("in");
    for number in 0..500 {
        fs::write(input.join(format!("{number:03}.csv")), number.to_string()).unwrap();
    }
    let yaml = project("shared", "after: delete, concurrency: 4", "");
    let (first, second) = (
        Running::start(root.path(), &yaml),
        Running::start(root.path(), &yaml),
    );
    until("all", || names(&input) == [".mediary"]);
    until("all delivered", || seen("shared").len() >= 500);
    first.drain();
    second.drain();
    let mut all = seen("shared");
    assert_eq!(all.len(), 500);
    all.dedup();
    assert_eq!(all.len(), 500, "each once");
}

#[test]
fn claims_of_a_dead_owner_are_taken_over() {
    let root = folder();
    let input = root.path().join("in");
    let dead = input.join(".mediary/gone");
    fs::create_dir_all(dead.join("claims/sub")).unwrap();
    fs::write(dead.join("lease"), "still").unwrap();
    fs::write(dead.join("claims/a.csv"), "1").unwrap();
    fs::write(dead.join("claims/sub/b.csv"), "2").unwrap();
    let started = Instant::now();
    let running = Running::start(
        root.path(),
        &project("dead", "after: delete, recursive: true, lease: 600ms", ""),
    );
    until("both", || seen("dead") == ["a.csv=1", "sub/b.csv=2"]);
    assert!(
        started.elapsed() >= Duration::from_millis(600),
        "the lease is respected"
    );
    until("nothing is left", || !dead.exists());
    running.drain();
}

/// A process that is gone is seen by its mark; its lease need not run out.
#[cfg(target_os = "linux")]
#[test]
fn claims_of_a_dead_process_are_taken_over_at_once() {
    let root = folder();
    let dead = root.path().join("in/.mediary/gone");
    fs::create_dir_all(dead.join("claims")).unwrap();
    fs::write(dead.join("lease"), "still").unwrap();
    fs::write(dead.join("claims/a.csv"), "1").unwrap();
    drop(super::alive::mark(&dead.join("alive")).unwrap());
    let alive = root.path().join("in/.mediary/busy");
    fs::create_dir_all(alive.join("claims")).unwrap();
    fs::write(alive.join("claims/b.csv"), "1").unwrap();
    let held = super::alive::mark(&alive.join("alive")).unwrap();
    let running = Running::start(root.path(), &project("killed", "after: delete, lease: 1h", ""));
    until("the dead one's", || seen("killed") == ["a.csv=1"]);
    until("nothing is left of it", || !dead.exists());
    assert!(alive.join("claims/b.csv").exists());
    drop(held);
    until("the other one's", || seen("killed").len() == 2);
    running.drain();
    assert_eq!(names(&root.path().join("in/.mediary")), Vec::<String>::new());
}

/// One file that cannot be settled holds back no other.
#[test]
fn a_file_that_cannot_be_settled_is_alone() {
    let root = folder();
    let input = root.path().join("in");
    // A file where a folder should be made.
    fs::write(input.join("blocked"), "").unwrap();
    fs::write(input.join("1-blocked.csv"), "1").unwrap();
    let settings = "pattern: '*.csv', after: { move: '${source.name[2:-4]}/${source.name}' }";
    let running = Running::start(root.path(), &project("alone", settings, ""));
    until("the blocked one", || seen("alone").len() == 1);
    for number in 2..9 {
        fs::write(input.join(format!("{number}-free.csv")), "1").unwrap();
        until("the free one", || {
            input.join(format!("free/{number}-free.csv")).exists()
        });
    }
    fs::remove_file(input.join("blocked")).unwrap();
    until("the blocked one, too", || {
        names(&input.join("blocked")).len() == 1
    });
    running.drain();
    assert_eq!(seen("alone").len(), 8);
}

/// A checkpoint counts for the file it was written for, and for no other of the same name.
#[test]
fn a_checkpoint_of_another_file_is_no_use() {
    let root = folder();
    let input = root.path().join("in");
    fs::write(input.join("a.csv"), "id\n0\n1\n2\n").unwrap();
    let modified = fs::metadata(input.join("a.csv")).unwrap().modified().unwrap();
    let modified = modified
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let checkpoint = input.join(".mediary/checkpoints/a.csv");
    let write = |size: u64| {
        let text = serde_json::json!({
            "size": size, "modified": u64::try_from(modified).unwrap(), "into": "rows", "index": 1, "offset": 5,
            "context": "id%0A", "set_aside": 0,
        });
        fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
        fs::write(&checkpoint, text.to_string()).unwrap();
    };
    for (key, size, rows) in [("stale", 10, &["0", "1", "2"][..]), ("resumed", 9, &["1", "2"])] {
        write(size);
        let settings = "split: rows, after: { move: '.a' }";
        let running = Running::start(root.path(), &project(key, settings, ""));
        until("the file is done", || input.join(".a/a.csv").exists());
        running.drain();
        let expected: Vec<String> = rows.iter().map(|row| format!("a.csv=id\n{row}\n")).collect();
        assert_eq!(seen(key), expected);
        assert!(!checkpoint.exists());
        fs::rename(input.join(".a/a.csv"), input.join("a.csv")).unwrap();
    }
}

/// Where the settings stand in the YAML does not matter.
#[test]
fn a_listener_is_known_by_its_settings() {
    let root = folder();
    let key = |yaml: &str| {
        let deployment = testing::deployment_in(registry(), yaml, root.path()).unwrap();
        let mut keys: Vec<String> = deployment
            .listeners
            .iter()
            .map(|listener| listener.key())
            .collect();
        keys.sort();
        keys
    };
    let settings = "pattern: '*.csv', after: { move: done }, on_fault: { rename: '.${source.name}' }, split: { into: rows, group: 2 }";
    let yaml = project("keys", settings, "");
    assert_eq!(key(&yaml), key(&format!("# a comment\n\n{yaml}")));
    for (from, to) in [
        ("'*.csv'", "'*.xml'"),
        ("move: done", "move: did"),
        ("group: 2", "group: 3"),
        ("20ms", "21ms"),
    ] {
        assert!(yaml.contains(from));
        assert_ne!(key(&yaml), key(&yaml.replace(from, to)), "{to}");
    }
}

#[test]
fn faults_are_retried_then_moved() {
    let root = folder();
    let input = root.path().join("in");
    fs::write(input.join("a.csv"), "1").unwrap();
    let retry = "after: delete, retry: { attempts: 3, backoff: 1ms }";
    let running = Running::start(root.path(), &project("again", retry, "fails: 2"));
    until("a third time", || seen("again").len() == 3);
    until("it is gone", || names(&input) == [".mediary"]);
    running.drain();

    fs::write(input.join("b.csv"), "1").unwrap();
    let settings = format!("{retry}, on_fault: {{ move: 'bad-${{source.name}}' }}, pattern: 'b*'");
    let running = Running::start(root.path(), &project("bad", &settings, "fails: 9, finally: true"));
    // The new name fits the pattern: it goes where it is not taken again.
    until("it is moved", || names(&input.join(".failed")) == ["bad-b.csv"]);
    running.drain();
    assert_eq!(seen("bad").len(), 1, "a fault that will not pass is not retried");
}

#[test]
fn a_drain_puts_back_what_it_could_not_finish() {
    let root = folder();
    let input = root.path().join("in");
    for name in ["a.csv", "b.csv", "c.csv"] {
        fs::write(input.join(name), "1").unwrap();
    }
    let running = Running::start(root.path(), &project("drained", "after: delete", "wait: true"));
    until("one is worked on", || seen("drained").len() == 1);
    running.drain();
    assert_eq!(names(&input), [".mediary", "a.csv", "b.csv", "c.csv"]);
}

#[test]
fn a_reload_loses_and_doubles_nothing() {
    let root = folder();
    let input = root.path().join("in");
    let running = Running::start(root.path(), &project("reloaded", "after: delete", ""));
    for number in 0..200 {
        fs::write(input.join(format!(".{number}")), "1").unwrap();
        fs::rename(
            input.join(format!(".{number}")),
            input.join(format!("{number}.csv")),
        )
        .unwrap();
        if number == 100 {
            let yaml = project("reloaded", "after: delete, concurrency: 3", "");
            let deployment = testing::deployment_in(registry(), &yaml, root.path()).unwrap();
            running
                .runtime
                .block_on(running.gateway.reload(deployment))
                .unwrap();
        }
    }
    until("all", || seen("reloaded").len() >= 200);
    until("nothing is left", || names(&input) == [".mediary"]);
    running.drain();
    let mut all = seen("reloaded");
    all.dedup();
    assert_eq!((all.len(), seen("reloaded").len()), (200, 200));
}

#[test]
fn unstable_and_young_files_wait() {
    let root = folder();
    let input = root.path().join("in");
    fs::write(input.join("a.csv"), "1").unwrap();
    let started = Instant::now();
    let settings = "after: delete, stable_for: 200ms, minimum_age: 100ms";
    let running = Running::start(root.path(), &project("stable", settings, ""));
    until("it came", || seen("stable").len() == 1);
    assert!(started.elapsed() >= Duration::from_millis(200));
    running.drain();
}

#[test]
fn mistakes_are_diagnosed() {
    for (settings, told) in [
        ("pattern: 'a[' ", "unclosed character class"),
        ("after: { move: ../done }", "leads out"),
        ("wrongkey: 1", "wrongkey"),
        ("sort: size, concurrency: 0", "concurrency"),
        (
            "pattern: '*.csv', after: { rename: 'x-${source.name}' }",
            "taken again",
        ),
        (
            "pattern: '*.csv', on_fault: { rename: 'a/${source.name}.done' }",
            "use `move`",
        ),
        ("split: pages", "pages"),
        ("split: elements", "need a `name`"),
        (
            "split: { into: elements, name: 'o:order' }",
            "stands for no namespace",
        ),
        ("split: { into: elements, name: order, group: 2 }", "one by one"),
        ("split: { into: rows, name: order }", "only `elements`"),
        ("split: { into: items, at: 'a..b' }", "no list of keys"),
        ("split: { into: lines, at: a }", "only `items`"),
    ] {
        let problem = testing::deployment(registry(), &project("x", settings, "")).err();
        let problem = problem.unwrap_or_else(|| panic!("{settings} is wrong"));
        assert!(problem.contains(told), "{problem}");
    }
}

mod local;
