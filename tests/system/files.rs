//! Local folders through the binary: every file once, by whomever; odd names; what is written and what is refused.

use mediary_tests::{Backend, Gateway, Project, Recorded, Reply, eventually_within, get, mediary, post};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// For something to happen.
const PATIENCE: Duration = Duration::from_secs(60);
/// Files of the tests with many.
const MANY: usize = 500;

/// A project whose proxy `p` sends every file of a folder to the backend, with its name as it is in JSON.
fn pickup(url: &str, folder: &str, listener: &str, artifact: &str) -> String {
    format!(
        "settings: {{ listeners: {{ http: {{ port: 0 }} }}, management: {{ port: 0 }}, shutdown_grace: 2s }}\nendpoints: {{ backend: {{ http: \"{url}\" }} }}\nstores: {{ dead: {{ durable: {{}} }} }}\nproxies:\n  p:\n    from: {{ file: {{ folder: \"{folder}\", every: 100ms, {listener} }} }}\n    {artifact}\n    steps:\n      - set: {{ headers.x-name: \"${{source.name | tojson}}\" }}\n      - call: backend\n"
    )
}

fn slow() -> Backend {
    Backend::start(|_| Reply::json(&json!({})).delay(Duration::from_millis(5)))
}

#[track_caller]
fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, done);
}

/// Puts files into a folder as writers should: under a hidden name first. Their contents are their numbers.
fn drop_files(folder: &Path, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let hidden = folder.join(format!(".{number}.csv"));
        fs::write(&hidden, number.to_string()).unwrap();
        fs::rename(hidden, folder.join(format!("{number}.csv"))).unwrap();
    }
}

/// How often each number came.
fn counted(requests: &[Recorded]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(request.text().parse().unwrap()).or_default() += 1;
    }
    counts
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn two_processes_on_a_folder_take_each_file_once() {
    let shared = tempfile::tempdir().unwrap();
    let backend = slow();
    drop_files(shared.path(), 0..MANY / 2);
    let folder = shared.path().display().to_string();
    let yaml = pickup(
        &backend.url(),
        &folder,
        "pattern: '*.csv', concurrency: 4, batch: 20",
        "",
    );
    let gateways = [
        Gateway::start(yaml.as_str(), &[]),
        Gateway::start(yaml.as_str(), &[]),
    ];
    drop_files(shared.path(), MANY / 2..MANY);
    eventually("all files", || names(&shared.path().join(".done")).len() == MANY);
    let counts = counted(&backend.requests());
    assert_eq!(counts.len(), MANY);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    for gateway in gateways {
        gateway.terminate().expect_success();
    }
    assert_eq!(names(shared.path()), [".done", ".mediary"]);
    assert_eq!(names(&shared.path().join(".mediary")), Vec::<String>::new());
}

#[test]
fn a_reload_under_files_loses_and_doubles_none() {
    let backend = slow();
    let project = Project::files(&[
        (
            "mediary.yaml",
            &pickup(&backend.url(), "data/in", "pattern: '*.csv'", ""),
        ),
        ("data/in/.keep", ""),
    ]);
    let folder = project.folder().join("data/in");
    let gateway = Gateway::start(project, &[]);
    for round in 0..5 {
        drop_files(&folder, round * 60..(round + 1) * 60);
        backend.wait_for_requests(round * 60 + 1);
        let listener = format!("pattern: '*.csv', concurrency: {}", round + 2);
        gateway
            .project()
            .write("mediary.yaml", pickup(&backend.url(), "data/in", &listener, ""));
        gateway.reload();
    }
    eventually("all files", || names(&folder.join(".done")).len() == 300);
    let counts = counted(&backend.requests());
    assert_eq!(
        (counts.len(), counts.values().max()),
        (300, Some(&1)),
        "{counts:?}"
    );
}

/// What the killed process held is taken over at once by the next one on this machine, not after the lease of 30 seconds.
#[test]
fn a_killed_process_loses_no_file() {
    let backend = slow();
    let mut project = Project::files(&[
        (
            "mediary.yaml",
            &pickup(&backend.url(), "data/in", "pattern: '*.csv', concurrency: 4", ""),
        ),
        ("data/in/.keep", ""),
    ]);
    let folder = project.folder().join("data/in");
    drop_files(&folder, 0..MANY);
    for kill in 1..=3 {
        let gateway = Gateway::start(project, &[]);
        backend.wait_for_requests(kill * 100);
        project = gateway.kill();
    }
    let started = Instant::now();
    let _gateway = Gateway::start(project, &[]);
    eventually("all files", || names(&folder.join(".done")).len() == MANY);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}: nobody waited for a lease",
        started.elapsed()
    );
    let requests = backend.requests();
    let counts = counted(&requests);
    assert_eq!(counts.len(), MANY, "none is lost");
    // In flight when it was killed, or delivered and not yet settled.
    let twice = requests.len() - MANY;
    println!("{twice} of {MANY} files came twice after three kills");
    assert!(twice <= 3 * (4 + 256), "{twice}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_and_empty_files() {
    use std::os::unix::ffi::OsStrExt;
    let backend = Backend::replying(Reply::json(&json!({})));
    let project = Project::files(&[
        (
            "mediary.yaml",
            &pickup(&backend.url(), "data/in", "after: delete", ""),
        ),
        ("data/in/.keep", ""),
    ]);
    let folder = project.folder().join("data/in");
    let long = format!("{}.csv", "n".repeat(251));
    let odd = ["line\nbreak.csv", &long, "ü 'x' $(y) %41.csv", "-rf", "empty.csv"];
    for (number, name) in odd.iter().enumerate() {
        let content = if *name == "empty.csv" {
            String::new()
        } else {
            number.to_string()
        };
        fs::write(folder.join(name), content).unwrap();
    }
    for bad in [&b"bad\xff.csv"[..], b"\xc3\x28"] {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(bad)), "bad").unwrap();
    }
    let gateway = Gateway::start(project, &[]);
    let requests = backend.wait_for_requests(odd.len());
    for (number, name) in odd.iter().enumerate() {
        let quoted = serde_json::to_string(name).unwrap();
        let request = requests
            .iter()
            .find(|request| request.headers["x-name"].as_bytes() == quoted.as_bytes());
        let request = request.unwrap_or_else(|| panic!("{name:?} came"));
        assert_eq!(
            request.text(),
            if *name == "empty.csv" {
                String::new()
            } else {
                number.to_string()
            }
        );
    }
    eventually("the bad ones are aside", || {
        names(&folder.join(".failed")).len() == 2
    });
    eventually("the others are gone", || {
        names(&folder) == [".failed", ".keep", ".mediary"]
    });
    let management = gateway.url("management");
    let metrics = get(&format!("{management}/metrics"))
        .await
        .expect_status(200)
        .text();
    assert!(
        metrics.contains("mediary_files_unnamed_total{artifact=\"proxies.p\"} 2"),
        "{metrics}"
    );
    let health = get(&format!("{management}/health"))
        .await
        .expect_status(200)
        .json();
    let note = health["listeners"]["proxies.p"]["note"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(note.contains("2 files whose names are not UTF-8"), "{health}");
    assert_eq!(backend.requests().len(), odd.len());
}

/// The folder is looked at once an hour; the file system tells of new files.
#[test]
fn a_new_file_is_noticed_at_once() {
    let backend = Backend::replying(Reply::json(&json!({})));
    let yaml = pickup(&backend.url(), "data/in", "after: delete", "").replace("every: 100ms", "every: 1h");
    let project = Project::files(&[("mediary.yaml", &yaml), ("data/in/.keep", "")]);
    let folder = project.folder().join("data/in");
    fs::write(folder.join("first.csv"), "0").unwrap();
    let _gateway = Gateway::start(project, &[]);
    backend.wait_for_requests(1);
    eventually("the first look is over", || {
        names(&folder) == [".keep", ".mediary"]
    });
    drop_files(&folder, 1..2);
    backend.wait_for_requests(2);
    fs::write(folder.join("third.csv"), "2").unwrap();
    assert_eq!(backend.wait_for_requests(3)[2].text(), "2");
}

#[test]
fn a_file_that_failed_for_good_is_a_dead_letter_or_set_aside() {
    for (artifact, where_to, letters) in [("dead_letter: dead", ".done", 1), ("timeout: 30s", ".failed", 0)] {
        let backend = Backend::replying(Reply::status(422));
        let project = Project::files(&[
            ("mediary.yaml", &pickup(&backend.url(), "data/in", "", artifact)),
            ("data/in/a.csv", "bad"),
        ]);
        let folder = project.folder().join("data/in");
        let gateway = Gateway::start(project, &[]);
        eventually("it is dealt with", || names(&folder.join(where_to)) == ["a.csv"]);
        assert_eq!(backend.requests().len(), 1, "such a fault is not tried again");
        assert_eq!(
            fs::read_to_string(folder.join(where_to).join("a.csv")).unwrap(),
            "bad"
        );
        let project = gateway.kill();
        let path = project.folder().display().to_string();
        let listed = mediary(&["store", "list", "dead", "--project", &path]).expect_success();
        assert_eq!(
            listed.stdout.matches("backend.status").count(),
            letters,
            "{}",
            listed.output()
        );
    }
}

/// The steps know better than the transport whether it is worth another try.
#[test]
fn a_fault_of_the_steps_is_tried_again_where_its_status_says_later() {
    for (status, requests, where_to) in [(503, 2, ".done"), (500, 1, ".failed")] {
        let answers = [json!({ "ready": false }), json!({ "ready": true })];
        let backend = Backend::script(answers.iter().map(Reply::json).collect());
        let check = format!(
            "      - filter: {{ when: not payload.ready, then: [ {{ throw: {{ code: orders.not_ready, status: {status} }} }} ] }}\n"
        );
        let project = Project::files(&[
            (
                "mediary.yaml",
                &(pickup(&backend.url(), "data/in", "retry: { backoff: 50ms }", "") + &check),
            ),
            ("data/in/a.csv", "1"),
        ]);
        let folder = project.folder().join("data/in");
        let _gateway = Gateway::start(project, &[]);
        eventually("it is dealt with", || names(&folder.join(where_to)) == ["a.csv"]);
        assert_eq!(backend.requests().len(), requests, "status {status}");
    }
}

#[test]
fn renamed_files_stay_and_come_no_more() {
    let backend = Backend::script(vec![
        Reply::json(&json!({})),
        Reply::status(422),
        Reply::json(&json!({})),
    ]);
    let listener = "pattern: '*.csv', recursive: true, after: { rename: '${source.name}.done' }, on_fault: { rename: '${source.name}.bad' }";
    let project = Project::files(&[
        ("mediary.yaml", &pickup(&backend.url(), "data/in", listener, "")),
        ("data/in/sub/a.csv", "0"),
        ("data/in/sub/b.csv", "1"),
        ("data/in/sub/c.csv", "2"),
    ]);
    let folder = project.folder().join("data/in/sub");
    let _gateway = Gateway::start(project, &[]);
    eventually("all three", || {
        names(&folder) == ["a.csv.done", "b.csv.bad", "c.csv.done"]
    });
    assert_eq!(backend.requests().len(), 3);
}

/// What is done with a file that exists, each with an endpoint and a proxy of its own.
const EXISTING: [&str; 4] = ["replace", "refuse", "number", "append"];

/// A project that turns requests into files in the folder `out`, which holds a link that leads out of it.
fn requests_to_files() -> Project {
    let endpoints = EXISTING.map(|word| {
        format!(
            "  {word}: {{ file: {{ folder: data/out, name: \"{word}/${{query.name}}\", existing: {word} }} }}\n"
        )
    });
    let proxies = EXISTING.map(|word| {
        format!("  {word}: {{ from: {{ http: /{word} }}, steps: [ {{ call: {word} }}, respond ] }}\n")
    });
    let yaml = format!(
        "settings: {{ listeners: {{ http: {{ port: 0 }} }}, management: {{ port: 0 }} }}\nendpoints:\n{}  named: {{ file: {{ folder: data/out }} }}\nproxies:\n{}  named: {{ from: {{ http: /named }}, steps: [ {{ call: {{ endpoint: named, path: \"/by/${{query.name}}\" }} }}, respond ] }}\n  made: {{ from: {{ http: /made }}, steps: [ {{ call: named }}, respond ] }}\n",
        endpoints.concat(),
        proxies.concat()
    );
    let project = Project::files(&[("mediary.yaml", &yaml), ("secret", "s"), ("data/out/.keep", "")]);
    #[cfg(unix)]
    std::os::unix::fs::symlink(project.folder(), project.folder().join("data/out/up")).unwrap();
    project
}

/// What is sent appears whole under its name, and never outside of the folder.
#[tokio::test(flavor = "multi_thread")]
async fn messages_become_files() {
    let words = EXISTING;
    let project = requests_to_files();
    let out = project.folder().join("data/out");
    let gateway = Gateway::start(project, &[]);
    let put = async |path: &str, text: &str| {
        post(
            &format!("{}/{path}", gateway.url("http")),
            "text/plain",
            text.to_owned(),
        )
        .await
    };
    let read = |path: &str| fs::read_to_string(out.join(path)).unwrap();
    for word in words {
        let first = put(&format!("{word}?name=a.txt"), "1").await.expect_status(200);
        assert_eq!(
            first.json(),
            json!({ "name": "a.txt", "path": format!("{word}/a.txt") })
        );
    }
    put("replace?name=a.txt", "2").await.expect_status(200);
    put("refuse?name=a.txt", "2").await.expect_status(409);
    let numbered = put("number?name=a.txt", "2").await.expect_status(200);
    assert_eq!(numbered.json()["name"], "a-1.txt");
    put("append?name=a.txt", "2").await.expect_status(200);
    let all = [
        "replace/a.txt",
        "refuse/a.txt",
        "number/a.txt",
        "number/a-1.txt",
        "append/a.txt",
    ]
    .map(read);
    assert_eq!(all, ["2", "1", "1", "2", "12"]);
    let made = put("made", "3").await.expect_status(200).json();
    assert_eq!(read(made["path"].as_str().unwrap()), "3");
    put("named?name=b%2Fc", "4").await.expect_status(400);
    put("named?name=c%20d", "4").await.expect_status(200);
    assert_eq!(read("by/c d"), "4");
    for bad in [
        "..%2F..%2Fsecret",
        "..%2F..%2F..%2Fsecret",
        "a%2F..%2F..%2F..%2F..%2Fsecret",
        "",
        "a%00b",
        "x%2F%2Fy",
    ] {
        for word in words {
            put(&format!("{word}?name={bad}"), "evil")
                .await
                .expect_status(400);
        }
    }
    put("replace?name=..%2Fup%2Fsecret", "evil")
        .await
        .expect_status(400);
    let long = "n".repeat(255);
    put(&format!("replace?name={long}"), "5").await.expect_status(200);
    put(&format!("replace?name={long}n"), "5")
        .await
        .expect_status(400);
    assert_eq!(read(&format!("replace/{long}")), "5");
    let root = gateway.project().folder();
    assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "s");
    assert_eq!(
        names(&out.join("replace")),
        ["a.txt", &long],
        "no unfinished file is left"
    );
    assert_eq!(names(root), ["data", "mediary.yaml", "secret"]);
}
