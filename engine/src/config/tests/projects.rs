//! Folders, merging and `--set`.

use super::*;
use std::path::Path;

#[test]
fn files_are_merged() {
    let a = "settings: { port: 1, secrets: { env_prefix: A_ } }\nendpoints: { a: { http: x } }\n";
    let b = "settings: { hosts: [h], secrets: { file: f } }\nendpoints: { b: { http: y } }\nproxies:\n";
    let (gateway, _, diagnostics) =
        load_with(&[("a", a), ("b", b), ("empty", "")], &["settings.secrets.file=~"]);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let gateway = gateway.unwrap();
    assert_eq!((gateway.settings.port, gateway.settings.hosts.len()), (1, 1));
    assert_eq!(gateway.settings.secrets.env_prefix.as_deref(), Some("A_"));
    assert_eq!(gateway.endpoints.names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_name_defined_twice_shows_both_places() {
    let (_, project, diagnostics) = load_with(
        &[
            ("a.yaml", "endpoints:\n  q: { http: x }\n"),
            ("b.yaml", "endpoints:\n  q: { http: y }\n"),
        ],
        &[],
    );
    assert_eq!(
        render_all(&diagnostics, &project.sources, Style::Plain),
        "\
error[config.duplicate_name]: `q` is defined twice
 --> b.yaml:2:3
  |
2 |   q: { http: y }
  |   ^ defined again here
  |
 ::: a.yaml:2:3
  |
2 |   q: { http: x }
  |   - first defined here
  |
  = help: rename or remove one of the two

1 error
"
    );
}

#[test]
fn settings_given_twice_are_reported() {
    assert_eq!(
        found(
            &[("a", "settings: { port: 1 }"), ("b", "settings: { port: 2 }")],
            &[]
        ),
        ["b:1:13-17 duplicate_name: `port` is defined twice (rename or remove one of the two)"]
    );
}

#[test]
fn overrides_are_laid_over_the_tree() {
    let yaml = "settings: { port: 1, hosts: [a, b] }\nendpoints: { my.name: { http: x } }\n";
    let set = [
        "settings.port=0",
        "settings.hosts.1=c",
        "endpoints.\"my.name\".timeout=9s",
        "endpoints.new={ http: \"http://n?a=b\" }",
        "labels.a=${env.HOST}",
        "labels.empty=''",
    ];
    let (gateway, _, diagnostics) = load_with(&[("m", yaml)], &set);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let gateway = gateway.unwrap();
    assert_eq!(
        (gateway.settings.port, gateway.settings.hosts.as_slice()),
        (0, &["a".to_owned(), "c".to_owned()][..])
    );
    assert_eq!(
        gateway.endpoints.get("my.name").unwrap().timeout,
        Duration::from_secs(9)
    );
    assert_eq!(gateway.endpoints.get("new").unwrap().http.value, "http://n?a=b");
    assert_eq!(
        (gateway.labels["a"].as_str(), gateway.labels["empty"].as_str()),
        ("example.org", "")
    );
}

#[test]
fn errors_in_overrides_point_at_them() {
    let yaml = "settings: { port: 1, hosts: [a] }";
    let set = [
        "settings.prot=1",
        "settings.port=x",
        "nonsense",
        "settings.hosts.7=x",
        "settings.port.x=1",
        "labels.a=[1",
        "labels=",
        "=1",
        "\"a=1",
    ];
    assert_eq!(
        found(&[("m", yaml)], &set),
        [
            "--set:1:10-14 unknown_key: unknown key `prot` (did you mean `port`? It is given already)",
            "--set:1:15-16 wrong_type: expected a whole number, found `x`",
            "--set:1:1-9 set: expected a dotted path, `=` and a value (write `--set settings.listeners.http.port=8290`)",
            "--set:1:16-17 set: the list has no item `7` (it has 1 items; the first is `0`)",
            "--set:1:15-16 set: `x` cannot be set in something that is no mapping",
            "--set:1:10-11 yaml: the `[` is not closed (close it with the matching bracket)",
            "--set:1:1-3 set: expected a dotted path, `=` and a value (write `--set settings.listeners.http.port=8290`)",
            "--set:1:1-5 set: expected a dotted path, `=` and a value (write `--set settings.listeners.http.port=8290`)",
        ]
    );
}

#[test]
fn an_override_cannot_nest_without_limit() {
    let problems = found(&[("m", "")], &[&format!("{}=1", vec!["a"; 100_000].join("."))]);
    assert!(
        problems[0].contains("set: expected a dotted path"),
        "{problems:?}"
    );
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn load_folder(folder: &Path) -> (Project, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    let project = load_project(folder, &LoadOptions::default(), &mut diagnostics);
    let problems = diagnostics
        .iter()
        .map(|it| one_line(it, &project.sources))
        .collect();
    (project, problems)
}

#[test]
fn a_folder_is_read_recursively_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "b.yaml", b"endpoints: { b: { http: x } }");
    write(path, "a/deep/a.yml", b"endpoints: { a: { http: x } }");
    write(path, "b.test.yaml", b"- name: x");
    write(path, ".git/x.yaml", b"broken: [");
    write(path, "api/openapi.yaml", b"openapi: 3.1.0\ninfo: {}\n");
    write(path, "notes.txt", b"no yaml: [");
    #[cfg(unix)]
    std::os::unix::fs::symlink(path, path.join("a/loop")).unwrap();
    let (project, problems) = load_folder(path);
    assert_eq!(problems, Vec::<String>::new());
    let names: Vec<&str> = project
        .root
        .get("endpoints")
        .unwrap()
        .entries()
        .iter()
        .map(|(key, _)| &*key.text)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(project.tests, [path.join("b.test.yaml")]);
    assert_eq!(
        (project.files.len(), project.complete, project.folder.as_path()),
        (3, true, path)
    );
    let a = project.root.get("endpoints").unwrap().get("a").unwrap();
    assert_eq!(project.sources.folder(a.span.source), path.join("a/deep"));
}

#[test]
fn one_broken_file_does_not_hide_the_problems_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "a.yaml", b"a: [\n");
    write(path, "b.yaml", "é: \u{0}".as_bytes());
    write(path, "c.yaml", b"labels: { a: x\xff }");
    write(path, "d.yaml", b"labels: { a: 1, a: 2 }");
    let (project, problems) = load_folder(path);
    let codes: Vec<&str> = problems.iter().filter_map(|it| it.split(' ').nth(1)).collect();
    assert_eq!(
        codes,
        ["yaml:", "yaml:", "not_utf8:", "duplicate_key:"],
        "{problems:#?}"
    );
    assert!(
        problems[2].contains("c.yaml:1:15-16 not_utf8: this is not UTF-8"),
        "{}",
        problems[2]
    );
    assert!(!project.complete);
}

#[test]
fn what_is_not_there_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (project, problems) = load_folder(&folder.path().join("none"));
    assert!(
        problems[0].contains("unreadable:") && !project.complete,
        "{problems:?}"
    );
    let (_, problems) = load_folder(folder.path());
    assert!(
        problems[0].contains("there is no `*.yaml` file in this folder"),
        "{problems:?}"
    );
}
