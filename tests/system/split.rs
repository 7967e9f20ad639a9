//! Files that are delivered in parts: large ones in little memory, and none of their parts lost.

mod counting;
mod remote;

use counting::Counting;
use mediary_tests::{Backend, Gateway, Project, Recorded, Reply, eventually_within, mediary};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most memory that the gateway may ever hold.
const MEMORY_MAX: u64 = 64 << 20;
/// For something to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the long forms are wanted.
fn long() -> bool {
    std::env::var_os("MEDIARY_LONG").is_some_and(|value| value == "1")
}

/// A project with one proxy `p` that listens on the folder `in` and calls the backend with the facts of each part.
fn project(url: &str, listener: &str, more: &str) -> Project {
    Project::files(&[
        (
            "mediary.yaml",
            &format!(
                "settings: {{ listeners: {{ http: {{ port: 0 }} }}, management: {{ port: 0 }}, shutdown_grace: 2s, namespaces: {{ n: urn:n }} }}\nendpoints: {{ backend: {{ http: \"{url}\" }} }}\n{more}\nproxies:\n  p:\n    from: {{ file: {{ folder: data/in, every: 100ms, {listener} }} }}\n    steps:\n      - set: {{ headers.x-index: \"${{source.part.index}}\", headers.x-offset: \"${{source.part.offset}}\", headers.x-count: \"${{source.part.count}}\", headers.x-last: \"${{source.part.last}}\" }}\n      - call: backend\n"
            ),
        ),
        ("data/in/.keep", ""),
    ])
}

fn input(project: &Project) -> PathBuf {
    project.folder().join("data/in")
}

#[track_caller]
fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, done);
}

/// Index, count, and whether it is the last.
fn facts(request: &Recorded) -> (usize, usize, bool) {
    let number = |name| request.header(name).parse().unwrap();
    (
        number("x-index"),
        number("x-count"),
        request.header("x-last") == "true",
    )
}

fn ok() -> Backend {
    Backend::replying(Reply::json(&json!({})))
}

/// A row of 1024 bytes with line breaks and quotes in its cells.
fn row(number: u64) -> String {
    let mut row = format!("{number:010},\"line\nbreak, and \"\"quotes\"\" {number:010}\",");
    let filling = 1023 - row.len();
    row.extend(std::iter::repeat_n('x', filling));
    row.push('\n');
    row
}

const HEADER: &str = "id,text,filling\n";

fn write_rows(path: &Path, rows: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    file.write_all(HEADER.as_bytes()).unwrap();
    for number in 0..rows {
        file.write_all(row(number).as_bytes()).unwrap();
    }
    file.into_inner().unwrap();
}

/// 256 MiB, or 2 GiB in the long form: every row arrives once, in order, byte for byte.
#[test]
fn a_large_csv_goes_through_little_memory() {
    let rows: u64 = if long() { 2 << 20 } else { 256 << 10 };
    let backend = Counting::start(HEADER, row);
    let project = project(
        &backend.url(),
        "pattern: '*.csv', split: { into: rows, group: 200 }, after: delete",
        "",
    );
    let part = input(&project).join(".big.csv");
    write_rows(&part, rows);
    let gateway = Gateway::start(project, &[]);
    let path = input(gateway.project()).join("big.csv");
    fs::rename(&part, &path).unwrap();
    let started = Instant::now();
    eventually_within(PATIENCE * 10, "every row", || {
        assert_eq!(backend.problem(), None);
        backend.rows() >= rows
    });
    let claims = input(gateway.project()).join(".mediary");
    eventually("the file is settled", || {
        !path.exists() && !claims.join("checkpoints/big.csv").exists()
    });
    let peak = gateway.memory().peak_bytes;
    println!(
        "{rows} rows of 1 KiB in {:?}, {} KiB of memory at most",
        started.elapsed(),
        peak >> 10
    );
    assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
    assert_eq!((backend.rows(), backend.problem()), (rows, None));
}

/// A line of 64 MiB, or 2 GiB in the long form, is a clear fault; the listener goes on.
#[test]
fn a_line_without_end_is_a_fault_in_little_memory() {
    let length: u64 = if long() { 2 << 30 } else { 64 << 20 };
    let backend = ok();
    let project = project(&backend.url(), "split: lines", "");
    let folder = input(&project);
    File::create(folder.join("a.txt"))
        .unwrap()
        .set_len(length)
        .unwrap();
    fs::write(folder.join("b.txt"), "one\ntwo\n").unwrap();
    let mut gateway = Gateway::start(project, &[]);
    let requests = backend.wait_for_requests(2);
    assert_eq!(
        requests.iter().map(Recorded::text).collect::<Vec<_>>(),
        ["one", "two"]
    );
    gateway.wait_for_log("longer than `part_max`");
    let failed = folder.join(".failed/a.txt");
    eventually("it is set aside", || failed.exists());
    assert_eq!(failed.metadata().unwrap().len(), length);
    let peak = gateway.memory().peak_bytes;
    println!(
        "a line of {} MiB: {} KiB of memory at most",
        length >> 20,
        peak >> 10
    );
    assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
}

/// A file, where its first part begins, how it is split, and the parts with their media type.
type Example = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

const EXAMPLES: [Example; 6] = [
    (
        "a.csv",
        "id,text\n1,\"a\nb\"\n2,c\n",
        "1,",
        "rows",
        &["id,text\n1,\"a\nb\"\n", "id,text\n2,c\n"],
        "text/csv",
    ),
    (
        "b.txt",
        "ä\n\nb",
        "ä",
        "lines",
        &["ä", "b"],
        "text/plain; charset=utf-8",
    ),
    (
        "c.ndjson",
        "{\"a\":1}\n{\"a\":2}\n",
        "{",
        "lines",
        &["{\"a\":1}", "{\"a\":2}"],
        "application/json",
    ),
    (
        "d.json",
        "{\"o\":[{\"a\": 1},2]}",
        "{\"a",
        "{ into: items, at: o }",
        &["{\"a\": 1}", "2"],
        "application/json",
    ),
    (
        "e.json",
        "[1,2,3]",
        "1",
        "{ into: items, group: 2 }",
        &["[1,2]", "[3]"],
        "application/json",
    ),
    (
        "f.xml",
        "<l xmlns:n='urn:n'><n:o>1</n:o><o/></l>",
        "<n:o>",
        "{ into: elements, name: 'n:o' }",
        &["<n:o xmlns:n=\"urn:n\">1</n:o>"],
        "application/xml",
    ),
];

#[test]
fn every_format_comes_in_small_documents_of_its_own() {
    for (name, content, begins, split, parts, media_type) in EXAMPLES {
        let backend = ok();
        let project = project(&backend.url(), &format!("split: {split}"), "");
        let folder = input(&project);
        fs::write(folder.join(name), content).unwrap();
        fs::write(folder.join("empty.csv"), "").unwrap();
        let gateway = Gateway::start(project, &[]);
        let requests = backend.wait_for_requests(parts.len());
        assert_eq!(
            requests.iter().map(Recorded::text).collect::<Vec<_>>(),
            parts,
            "{name}"
        );
        for (index, request) in requests.iter().enumerate() {
            assert_eq!(request.header("content-type"), media_type, "{name}");
            let (at, count, last) = facts(request);
            assert_eq!((at, last), (index, index + 1 == parts.len()), "{name}");
            assert_eq!(count, if name == "e.json" { 2 - index } else { 1 }, "{name}");
        }
        let offset = content.find(begins).unwrap();
        assert_eq!(requests[0].header("x-offset"), offset.to_string(), "{name}");
        eventually("it is done", || folder.join(".done").join(name).exists());
        assert_eq!(
            backend.requests().len(),
            parts.len(),
            "{name}: nothing else comes"
        );
        drop(gateway);
    }
}

/// Killed in the middle: what was settled before the last checkpoint does not come again, and nothing is missing.
#[test]
fn a_file_goes_on_where_it_was_after_a_crash() {
    const ROWS: usize = 600;
    let backend = Backend::start(|_| Reply::json(&json!({})).delay(Duration::from_millis(2)));
    let mut rows = String::from("id\n");
    for number in 0..ROWS {
        writeln!(rows, "{number}").unwrap();
    }
    let settings = "split: { into: rows, checkpoint: 20 }, concurrency: 4";
    let mut project = project(&backend.url(), settings, "");
    fs::write(input(&project).join("a.csv"), rows).unwrap();
    let kills = 3;
    for kill in 1..=kills {
        let gateway = Gateway::start(project, &[]);
        backend.wait_for_requests(kill * 120);
        project = gateway.kill();
    }
    let gateway = Gateway::start(project, &[]);
    let done = input(gateway.project()).join(".done/a.csv");
    eventually("the file is done", || done.exists());
    let mut seen: Vec<usize> = backend
        .requests()
        .iter()
        .map(|request| facts(request).0)
        .collect();
    let delivered = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..ROWS).collect::<Vec<_>>(), "none is lost");
    let twice = delivered - ROWS;
    assert!(twice <= kills * (20 + 4), "{twice} came twice");
    // The state is gone with the file.
    drop(gateway);
}

/// A reload in the middle gives the file back; the new listener goes on with the next part.
#[test]
fn a_reload_in_the_middle_loses_and_doubles_nothing() {
    const ROWS: usize = 300;
    let backend = Backend::start(|_| Reply::json(&json!({})).delay(Duration::from_millis(3)));
    let mut rows = String::from("id\n");
    for number in 0..ROWS {
        writeln!(rows, "{number}").unwrap();
    }
    let project = project(&backend.url(), "split: rows", "");
    fs::write(input(&project).join("a.csv"), rows).unwrap();
    let gateway = Gateway::start(project, &[]);
    backend.wait_for_requests(50);
    let yaml = fs::read_to_string(gateway.project().folder().join("mediary.yaml")).unwrap();
    gateway.project().write(
        "mediary.yaml",
        yaml.replace("split: rows", "split: { into: rows, checkpoint: 7 }"),
    );
    gateway.reload();
    let done = input(gateway.project()).join(".done/a.csv");
    eventually("the file is done", || done.exists());
    let seen: Vec<usize> = backend
        .requests()
        .iter()
        .map(|request| facts(request).0)
        .collect();
    assert_eq!(seen, (0..ROWS).collect::<Vec<_>>());
}

/// Answers 400 to the rows 2 and 4.
fn refusing() -> Backend {
    Backend::start(|request| {
        let refused = ["id\n2\n", "id\n4\n"].contains(&&*request.text());
        if refused {
            Reply::status(400)
        } else {
            Reply::json(&json!({}))
        }
    })
}

const SIX_ROWS: &str = "id\n0\n1\n2\n3\n4\n5\n";

#[test]
fn a_part_that_failed_stops_its_file_or_is_set_aside() {
    let backend = refusing();
    let stopping = project(&backend.url(), "split: rows, on_fault: { move: bad }", "");
    let folder = input(&stopping);
    fs::write(folder.join("a.csv"), SIX_ROWS).unwrap();
    let gateway = Gateway::start(stopping, &[]);
    eventually("the file is set aside", || folder.join("bad/a.csv").exists());
    assert_eq!(backend.requests().len(), 3, "nothing after the part that failed");
    assert_eq!(fs::read_to_string(folder.join("bad/a.csv")).unwrap(), SIX_ROWS);
    drop(gateway);

    let backend = refusing();
    let aside = project(
        &backend.url(),
        "split: { into: rows, on_fault: set_aside }, on_fault: { move: bad }",
        "",
    );
    let folder = input(&aside);
    fs::write(folder.join("a.csv"), SIX_ROWS).unwrap();
    let gateway = Gateway::start(aside, &[]);
    eventually("the file is done", || folder.join(".done/a.csv").exists());
    assert_eq!(backend.requests().len(), 6);
    let part = |number: u32| fs::read_to_string(folder.join(format!("bad/a-part-{number}.csv"))).unwrap();
    assert_eq!((part(2), part(4)), ("id\n2\n".to_owned(), "id\n4\n".to_owned()));
    assert_eq!(fs::read_dir(folder.join("bad")).unwrap().count(), 2);
    drop(gateway);

    let backend = refusing();
    let settings = "split: { into: rows, on_fault: set_aside, set_aside_max: 1 }, on_fault: { rename: '.${source.name}' }";
    let limited = project(&backend.url(), settings, "");
    let folder = input(&limited);
    fs::write(folder.join("a.csv"), SIX_ROWS).unwrap();
    let _gateway = Gateway::start(limited, &[]);
    eventually("the file is renamed", || folder.join(".a.csv").exists());
    assert_eq!(backend.requests().len(), 5, "the second one stops it");
}

/// Parts that failed go to the dead-letter store, one by one, and the file goes on.
#[test]
fn parts_become_dead_letters() {
    let backend = refusing();
    let mut project = project(&backend.url(), "split: rows", "stores: { dead: { durable: {} } }");
    let yaml = fs::read_to_string(project.folder().join("mediary.yaml")).unwrap();
    project.write(
        "mediary.yaml",
        yaml.replace("  p:\n", "  p:\n    dead_letter: dead\n"),
    );
    let folder = input(&project);
    fs::write(folder.join("a.csv"), SIX_ROWS).unwrap();
    let gateway = Gateway::start(project, &[]);
    eventually("the file is done", || folder.join(".done/a.csv").exists());
    assert_eq!(backend.requests().len(), 6);
    project = gateway.kill();
    let folder = project.folder().display().to_string();
    let listed = mediary(&["store", "list", "dead", "--project", &folder]).expect_success();
    assert_eq!(
        listed.stdout.matches("backend.status").count(),
        2,
        "{}",
        listed.output()
    );
}
