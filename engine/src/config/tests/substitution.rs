//! The environment and secrets.

use super::*;

#[test]
fn references_become_values() {
    let gateway = gateway(
        r#"
settings: { port: "${env.PORT}", hosts: ["${ env.HOST }", "${env.NONE | default('x y')}"] }
endpoints:
  e:
    http: http://${env.HOST}:${env.PORT}/${env['HOST']}
    timeout: ${env.TIMEOUT | default("3s")}
    password: ${secret.db.password}
"#,
    );
    assert_eq!(gateway.settings.port, 8080);
    assert_eq!(gateway.settings.hosts, ["example.org", "x y"]);
    let endpoint = gateway.endpoints.get("e").unwrap();
    assert_eq!(endpoint.http.value, "http://example.org:8080/example.org");
    assert_eq!(endpoint.timeout, Duration::from_secs(3));
    assert_eq!(endpoint.password.as_ref().unwrap().expose(), "hunter2");
}

fn segments(when: &str) -> (String, Text) {
    let gateway = gateway(&format!("proxies: {{ p: {{ from: local, when: \"{when}\" }} }}"));
    let text = gateway.proxies.get("p").unwrap().when.clone().unwrap();
    (format!("{:?}", text.segments()), text)
}

#[test]
fn expressions_and_data_are_kept_apart() {
    assert_eq!(
        segments("a ${payload.x} $${env.PORT}").0,
        r#"[Template("a ${payload.x} $${env.PORT}")]"#
    );
    assert_eq!(
        segments("${env.ODD} ${payload.x}").0,
        r#"[Data("a'b\"${payload.x}"), Template(" ${payload.x}")]"#
    );
    assert_eq!(
        segments("x ${env.HOST ~ 'y'}").0,
        r#"[Template("x ${env.HOST ~ 'y'}")]"#
    );
    let (shown, text) = segments("é ${secret.odd} ${x}");
    assert_eq!(shown, r#"[Template("é "), Data(***), Template(" ${x}")]"#);
    assert_eq!(text.as_str(), "é ${1 + 1}'\"\\ ${x}");
    assert_eq!(format!("{text:?}"), "***");
    let Segment::Template { start, .. } = text.segments().remove(2) else {
        panic!("a template")
    };
    assert_eq!(
        text.span_within(start + 1..start + 5).start - text.span().start,
        18
    );
}

#[test]
fn an_expression_where_nothing_is_evaluated_is_a_warning() {
    let yaml = "endpoints: { e: { http: \"http://${env.HOST}/${payload.x}\" } }";
    assert_eq!(
        problem(yaml),
        "1:45-57 not_evaluated: this is not evaluated: the text is read at load and used as it is (only `${env.NAME}` and `${secret.NAME}`, with or without `default(...)`, can stand here)"
    );
    let (gateway, _, diagnostics) = load(yaml);
    assert_eq!(
        gateway.unwrap().endpoints.get("e").unwrap().http.value,
        "http://example.org/${payload.x}"
    );
    assert!(!diagnostics.has_errors());
}

#[test]
fn keys_are_left_alone() {
    let gateway = gateway("labels: { \"${env.PORT}\": \"${env.PORT}\" }");
    assert_eq!(gateway.labels["${env.PORT}"], "8080");
}

#[test]
fn what_is_missing_is_reported_once_at_the_reference() {
    assert_eq!(
        problem("settings:\n  port: ${env.PROT}\n"),
        "2:9-20 missing_variable: the environment variable `PROT` is not set (did you mean `PORT`?)"
    );
    assert_eq!(
        problem("endpoints:\n  e:\n    http: 'é ${secret.nothing}'\n"),
        "3:14-31 missing_secret: there is no secret `nothing` (secrets come from the places named in `settings.secrets`)"
    );
}

#[test]
fn secrets_are_never_shown() {
    let yaml = "settings: { port: \"${secret.db.password}\", hosts: [\"${secret.odd}\"] }\nendpoints:\n  e: { http: x, timeout: \"${secret.db.password}\", soap: \"${secret.db.password}\" }\n";
    let (_, project, diagnostics) = load(yaml);
    let human = render_all(&diagnostics, &project.sources, Style::Plain);
    let everything = format!(
        "{human}{:?}{:?}{}",
        project.root,
        project,
        diagnostics.to_json(&project.sources)
    );
    assert_eq!(diagnostics.errors(), 3, "{human}");
    assert!(human.contains("expected a whole number, found `***`"), "{human}");
    assert!(
        !everything.contains("hunter2") && !everything.contains("1 + 1"),
        "{everything}"
    );
}

#[test]
fn secrets_come_from_files_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "m.yaml",
        "settings:\n  secrets: { env_prefix: APP_, file: secrets.yaml, directory: \"${env.MOUNT}\" }\nlabels: { a: \"${secret.db.password}\", b: \"${secret['api-key']}\", c: \"${secret.token}\", d: \"${secret['../m.yaml']}\" }\n",
    );
    write("secrets.yaml", "db: { password: from-file }\ntoken: shadowed\n");
    write("mount/api-key", "from-directory\n");
    let environment = Environment::of([("APP_TOKEN", "from-variable"), ("MOUNT", "mount")]);
    let options = LoadOptions {
        environment,
        ..LoadOptions::default()
    };
    let mut diagnostics = Diagnostics::new();
    let project = load_project(folder.path(), &options, &mut diagnostics);
    let gateway: Gateway = read(&project.root, &mut diagnostics).unwrap();
    let labels: Vec<&str> = gateway.labels.values().map(String::as_str).collect();
    assert_eq!(labels, ["from-file", "from-directory", "from-variable"]);
    let codes: Vec<&str> = diagnostics.iter().map(|it| it.code).collect();
    assert_eq!(
        codes,
        ["config.missing_secret"],
        "the secrets file is no definition, and `..` leads nowhere"
    );
}

#[test]
fn a_broken_secrets_file_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("m.yaml"),
        "settings: { secrets: { file: s.yaml } }\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("s.yaml"), "a: b\npassword: hunter2: x\n").unwrap();
    let mut diagnostics = Diagnostics::new();
    let project = load_project(folder.path(), &LoadOptions::default(), &mut diagnostics);
    let human = render_all(&diagnostics, &project.sources, Style::Plain);
    assert!(
        human.contains("cannot be read: line 2, column 18: not valid YAML"),
        "{human}"
    );
    assert!(!human.contains("hunter2") && diagnostics.errors() == 1, "{human}");
}
