//! `mediary check` names every mistake of a project in one run, each at its place.

use mediary_tests::{Project, mediary};

const PLANTED: &str = r#"settings:
  limits: { body: 10 }
  worker: 2
endpoints:
  quotes:
    http: http://localhost:9000
    timeout: 3
apis:
  quotes:
    context: quotes
    routes:
      FETCH /{symbol}:
        - respond
      GET /{symbol}:
        - lgo: "text"
        - filter: { when: "paylod.amount > 3", then: [drop] }
        - call: qoutes
        - payload: { text: "${payload.name | uper}" }
        - validate: { json_schema: missing.json }
        - respond
        - log: "never"
"#;

/// Line, column and a part of the message of every planted mistake.
const EXPECTED: [(u64, u64, &str); 11] = [
    (2, 19, "size"),
    (3, 3, "worker"),
    (7, 14, "duration"),
    (10, 14, "does not begin with"),
    (12, 7, "FETCH"),
    (15, 11, "lgo"),
    (16, 28, "paylod"),
    (17, 17, "qoutes"),
    (18, 46, "uper"),
    (19, 36, "missing.json"),
    (21, 11, "never reached"),
];

#[test]
fn every_planted_mistake_is_found_at_its_line_and_column() {
    let project = Project::from(PLANTED);
    let end = mediary(&["check", project.folder().to_str().unwrap(), "--format", "json"]).expect_code(1);
    let report = end.json();
    let list = report
        .as_array()
        .or_else(|| report["diagnostics"].as_array())
        .cloned()
        .unwrap_or_default();
    let found: Vec<(u64, u64, String)> = list
        .iter()
        .map(|diagnostic| {
            let number = |key: &str| diagnostic[key].as_u64().unwrap_or_default();
            (
                number("line"),
                number("column"),
                diagnostic["message"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    for (line, column, part) in &EXPECTED {
        let hit = found
            .iter()
            .any(|(l, c, message)| l == line && c == column && message.contains(part));
        assert!(hit, "{line}:{column} {part} is not among {found:#?}");
    }
    assert_eq!(found.len(), EXPECTED.len(), "{found:#?}");
    let in_file = |diagnostic: &serde_json::Value| {
        diagnostic["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("mediary.yaml"))
    };
    assert!(list.iter().all(in_file), "{list:#?}");
}

/// The code and the line of each problem of a project.
fn problems(project: &Project) -> Vec<(String, u64)> {
    let end = mediary(&["check", project.folder().to_str().unwrap(), "--format", "json"]).expect_code(1);
    let report = end.json();
    let list = report.as_array().or_else(|| report["diagnostics"].as_array());
    let code_and_line =
        |it: &serde_json::Value| Some((it["code"].as_str()?.to_owned(), it["line"].as_u64()?));
    list.into_iter()
        .flatten()
        .map(|it| code_and_line(it).unwrap())
        .collect()
}

/// A listener that reads long files renews its lease meanwhile, which takes a session of its own.
#[test]
fn connections_that_do_not_do_are_refused() {
    let project = Project::from(
        r#"connections:
  one: { ftp: { host: a, connections_max: 1 } }
  two: { ftp: { host: a, connections_max: 2 } }
  three: { sftp: { host: a, user: b, password: c, host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINRLhByOrjC6AldSZ22ZQmOzURD541Zv0QYUV5UoCiPk", connections_max: 1 } }
  four: { sftp: { host: a, user: b, password: c, host_key: nonsense } }  # told once, not where it is named
proxies:
  a: { from: { ftp: { connection: one, folder: in } }, steps: [ drop ] }
  b: { from: { ftp: { connection: two, folder: in } }, steps: [ drop ] }
  c: { from: { sftp: { connection: three, folder: in } }, steps: [ drop ] }
  d: { from: { sftp: { connection: three, folder: in, split: rows } }, steps: [ drop ] }
  e: { from: { sftp: { connection: four, folder: in } }, steps: [ drop ] }
"#,
    );
    let too_few = |line| ("config.too_few_sessions".to_owned(), line);
    let bad_key = ("config.bad_value".to_owned(), 5);
    assert_eq!(problems(&project), [bad_key, too_few(7), too_few(10)]);
}

#[test]
fn a_processor_whose_work_cannot_be_read_is_told_once_and_in_a_whole_sentence() {
    let project = Project::from(
        "stores: { s: { memory: {} } }\nprocessors:\n  p: { store: s, resequence: { by: payload.n, frist: 1, steps: [ drop ] } }\n  q: { store: s, resequence: {} }\n  r: { store: s }\nproxies: { i: { from: { local: i }, steps: [ { idempotent: { window: 1h } } ] } }\n",
    );
    let missing = |line| ("config.missing_key".to_owned(), line);
    let unknown = ("config.unknown_key".to_owned(), 3);
    assert_eq!(problems(&project), [unknown, missing(4), missing(5), missing(6)]);
    let told = mediary(&["check", project.folder().to_str().unwrap()]).expect_code(1);
    let help = "  = help: `key`: What tells messages apart, an expression of at most 1024 bytes: `headers.idempotency_key`, `payload.order.id`.\n";
    assert!(told.output().contains(help), "{}", told.output());
}

/// The listeners of a contract's proxy serve its operations and its documents; a wrong one is told once, where it stands.
#[test]
fn a_wrong_listener_of_a_contract_is_told_once() {
    let sample = mediary_tests::workspace_folder().join("samples/http-as-soap");
    let read = |name: &str| std::fs::read_to_string(sample.join(name)).unwrap();
    let yaml = read("mediary.yaml");
    let wrong = yaml.replace(
        "from: { http: /services/Shipping }",
        "from:\n      http:\n        path: /services/Shipping\n        listeners: [ http, htpt ]",
    );
    assert_ne!(wrong, yaml);
    let project = Project::files(&[("mediary.yaml", &wrong), ("backend.yaml", &read("backend.yaml"))]);
    let folder = project.folder().display();
    let copied = std::process::Command::new("cp")
        .args([
            "-r",
            &sample.join("contract").display().to_string(),
            &folder.to_string(),
        ])
        .status();
    assert!(copied.unwrap().success());
    let line = 1 + wrong.lines().position(|line| line.contains("htpt")).unwrap() as u64;
    assert_eq!(
        problems(&project),
        [("config.unknown_reference".to_owned(), line)]
    );
}

/// Whoever can drop a file must not be able to configure the gateway.
#[test]
fn folders_of_messages_hold_no_definitions() {
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().display();
    let exposed = ["in", ".", "..", "new/sub", "data/../in", "linked"];
    let safe = [
        "data",
        "data/in",
        "sub/data/in",
        ".spool/in",
        &outside.to_string(),
    ];
    let endpoints: String = exposed
        .iter()
        .chain(&safe)
        .enumerate()
        .map(|(number, folder)| format!("  e{number}: {{ file: {{ folder: {folder} }} }}\n"))
        .collect();
    let project = Project::files(&[
        ("mediary.yaml", &format!("endpoints:\n{endpoints}")),
        (
            "data/in/dropped.yaml",
            "endpoints: { evil: { http: \"http://127.0.0.1\" } }\nnonsense: true\n",
        ),
        ("in/a.csv", ""),
        ("elsewhere/.keep", ""),
    ]);
    std::os::unix::fs::symlink(
        project.folder().join("elsewhere"),
        project.folder().join("linked"),
    )
    .unwrap();
    let found = problems(&project);
    let exposed = |line| ("config.exposed_folder".to_owned(), line);
    let expected: Vec<_> = (2..8).map(exposed).collect();
    assert_eq!(found, expected);
    let file = project.folder().join("mediary.yaml");
    mediary(&["check", file.to_str().unwrap()]).expect_code(0);
}

#[test]
fn people_see_the_line_with_a_caret_and_a_help() {
    let project = Project::from("apis:\n  quotes:\n    contxt: /quotes\n    routes: { GET /: respond }\n");
    let end = mediary(&["check", project.folder().to_str().unwrap()]).expect_code(1);
    for part in [
        "mediary.yaml:3:5",
        "contxt: /quotes",
        "^^^^^^",
        "did you mean `context`?",
    ] {
        assert!(
            end.output().contains(part),
            "{part} is missing:\n{}",
            end.output()
        );
    }
}

#[test]
fn wrong_usage_is_code_two() {
    mediary(&["chek"]).expect_code(2);
    mediary(&["check", "--format", "yaml"]).expect_code(2);
}
