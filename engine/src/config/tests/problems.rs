//! Every kind of problem, at its exact place.

use super::*;

#[test]
fn a_rendered_problem_has_everything_a_reader_needs() {
    let (_, project, diagnostics) = load("endpoints:\n  quotes:\n    http: http://x\n    tiemout: 3s\n");
    assert_eq!(
        render_all(&diagnostics, &project.sources, Style::Plain),
        "\
error[config.unknown_key]: unknown key `tiemout`
 --> m.yaml:4:5
  |
4 |     tiemout: 3s
  |     ^^^^^^^
  |
  = help: did you mean `timeout`?

1 error
"
    );
}

#[test]
fn ten_planted_errors_are_all_found_in_one_run() {
    let first = r#"
settings:
  prot: 8290                                  # 1 unknown key
endpoints:
  quotes:
    http: http://localhost:9000
    timeout: 30                               # 2 no unit
    retry: { on: [conect, timeout] }          # 3 missing key, 4 unknown word
    keep_alive: yes                           # 5 no boolean
  other: { http: [x], limit: 10 }             # 6 wrong type, 7 no unit
"#;
    let second = r#"
endpoints:
  quotes: { http: http://y }                  # 8 defined twice
proxies:
  in:
    from: { http: /in, file: { folder: x } }  # 9 exclude each other
    steps:
      - log: x
        level: info                           # 10 two keys
    throttle: ${env.RATE}                     # 11 not set
"#;
    assert_eq!(
        found(&[("a", first), ("b", second)], &[]),
        [
            "a:3:3-7 unknown_key: unknown key `prot` (did you mean `port`?)",
            "a:7:14-16 bad_value: `30`: a duration needs a unit (write `30s` for seconds or `30ms` for milliseconds)",
            "a:8:5-10 missing_key: the key `attempts` is missing (`attempts`: How often to try, the first time included.)",
            "a:8:19-25 not_allowed: `conect` is not possible here (did you mean `connect`?)",
            "a:9:17-20 wrong_type: expected `true` or `false`, found `yes` (write `true`)",
            "a:10:18-21 wrong_type: expected text, found a list (a text that begins with `{` or `[` needs quotes)",
            "a:10:30-32 bad_value: `10`: a size needs a unit (write `10B`, `10KiB` or `10MiB`)",
            "b:3:3-9 duplicate_name: `quotes` is defined twice (rename or remove one of the two)",
            "b:6:24-28 one_key: `http` and `file` exclude each other (use exactly one of `local`, `http`, `file`)",
            "b:9:9-14 step: a step has one key, this one has `log` and `level` (indent `level` below `log` if it is a setting of `log`; begin it with `- ` if it is the next step)",
            "b:10:15-26 missing_variable: the environment variable `RATE` is not set (set it, or give a default: `${env.RATE | default('...')}`)",
        ]
    );
}

#[test]
fn keys() {
    assert_eq!(
        problem("endpoint: {}"),
        "1:1-9 unknown_key: unknown key `endpoint` (did you mean `endpoints`?)"
    );
    assert_eq!(
        problem("endpoints: {}\nendpoint: {}"),
        "2:1-9 unknown_key: unknown key `endpoint` (did you mean `endpoints`? It is given already)"
    );
    assert_eq!(
        problem("zzz: 1"),
        "1:1-4 unknown_key: unknown key `zzz` (possible here: `settings`, `endpoints`, `proxies`, `labels`)"
    );
    assert_eq!(
        problem("endpoints:\n  é: { htpp: x }"),
        "2:8-12 unknown_key: unknown key `htpp` (did you mean `http`?)"
    );
    assert_eq!(
        problem("endpoints:\n  c:\n"),
        "2:3-4 missing_key: the key `http` is missing (`http`: Where to send.)"
    );
    assert_eq!(
        problem("endpoints: { c: {} }"),
        "1:14-15 missing_key: the key `http` is missing (`http`: Where to send.)"
    );
}

#[test]
fn values() {
    let port = |text: &str| problem(&format!("settings: {{ port: {text} }}"));
    let at = |columns: &str, rest: &str| format!("1:19-{columns} {rest}");
    assert_eq!(
        port("70000"),
        at(
            "24",
            "out_of_range: `70000` is out of range (possible here: 0 to 65535)"
        )
    );
    assert_eq!(
        port("-1"),
        at(
            "21",
            "out_of_range: `-1` is out of range (possible here: 0 to 65535)"
        )
    );
    assert_eq!(
        port("1.5"),
        at("22", "wrong_type: expected a whole number, found `1.5`")
    );
    assert_eq!(
        port("080"),
        at(
            "22",
            "wrong_type: expected a whole number, found `080` (write `80`, without the leading zero)"
        )
    );
    assert_eq!(
        port("'80'"),
        at(
            "23",
            "wrong_type: expected a whole number, found the text \"80\" (remove the quotes)"
        )
    );
    assert_eq!(
        port("x"),
        at("20", "wrong_type: expected a whole number, found `x`")
    );
    assert_eq!(
        port("[1]"),
        at("22", "wrong_type: expected a whole number, found a list")
    );
    assert_eq!(
        problem("settings:\n  port:\n"),
        "2:3-7 wrong_type: expected a whole number, found nothing (give it a value, or remove the key)"
    );
    assert_eq!(
        problem("settings:\n  port: \"${payload.port}\"\n"),
        "2:9-26 wrong_type: expected a whole number, found `${payload.port}` (this is read at load, where `${...}` may refer to `env.NAME` and `secret.NAME` only)"
    );
    assert_eq!(
        problem("settings: { hosts: a }"),
        "1:20-21 wrong_type: expected a list, found `a` (write a list: `[a, b]`, or one `- ` item per line)"
    );
    assert_eq!(
        problem("settings: 3"),
        "1:11-12 wrong_type: expected a mapping, found `3` (possible here: `port`, `hosts`, `secrets`)"
    );
    assert_eq!(
        problem("proxies: { p: { from: local, throttle: fast } }"),
        "1:40-44 bad_value: `fast`: not a rate (write how many per how long, such as `100/s`, `1000/m` or `5/10s`)"
    );
    assert_eq!(
        problem("endpoints: { e: { http: x, timeout: [3s] } }"),
        "1:37-41 wrong_type: expected a duration such as `250ms`, found a list"
    );
}

#[test]
fn enums() {
    let from = |text: &str| problem(&format!("proxies: {{ p: {{ from: {text} }} }}"));
    assert_eq!(
        from("lokal"),
        "1:23-28 not_allowed: `lokal` is not possible here (did you mean `local`?)"
    );
    assert_eq!(
        from("http"),
        "1:23-27 wrong_type: `http` needs a value (write `http: ...`)"
    );
    assert_eq!(
        from("{ htp: /x }"),
        "1:25-28 unknown_key: unknown key `htp` (did you mean `http`?)"
    );
    assert_eq!(
        from("{}"),
        "1:23-25 one_key: one key is needed here (use exactly one of `local`, `http`, `file`)"
    );
    assert_eq!(
        from("[x]"),
        "1:23-26 wrong_type: expected one of `local`, `http`, `file`, found a list"
    );
    assert_eq!(
        from("{ file: { folder: x, evry: 1s } }"),
        "1:44-48 unknown_key: unknown key `evry` (did you mean `every`?)"
    );
    assert_eq!(
        from("{ file: { every: 1s } }"),
        "1:25-29 missing_key: the key `folder` is missing"
    );
}

#[test]
fn steps() {
    let steps = |text: &str| problem(&format!("proxies:\n  p:\n    from: local\n    steps:{text}\n"));
    assert_eq!(
        steps(""),
        "4:5-10 wrong_type: expected steps, found nothing (write a list of steps, or `[]` for none)"
    );
    assert_eq!(
        steps("\n      - {}"),
        "5:9-11 step: an empty step (a step is a mediator's name, or a mapping with one key: `- log: \"text\"`)"
    );
    assert_eq!(
        steps("\n      - [drop]"),
        "5:9-15 wrong_type: expected a step, found a list"
    );
}

#[test]
fn yaml_that_is_refused() {
    assert_eq!(
        problem("labels: { a: x, a: y }"),
        "1:17-18 duplicate_key: the key `a` occurs twice (a key may occur once in a mapping; merge the two or rename one)"
    );
    assert_eq!(
        problem("labels:\n  <<: { a: b }\n"),
        "2:3-5 merge_key: YAML merge keys are not supported (write the keys out, or share a whole value with `&name` and `*name`)"
    );
    assert_eq!(
        problem("labels: { a: !secret x }"),
        "1:14-21 yaml_tag: YAML tags are not used here (put a value in quotes to make it text; leave the tag out otherwise)"
    );
    assert_eq!(
        problem("labels: {}\n---\nlabels: {}\n"),
        "2:1-4 second_document: a file holds one YAML document, this begins another (put it into a file of its own in the same folder, or remove the `---`)"
    );
    assert_eq!(
        problem("labels: { '': x }"),
        "1:11-13 key_empty: the key is empty"
    );
    assert!(problem("? [a]\n: b\n").starts_with("1:3-6 key_not_text: a key must be text, not a collection"));
    assert!(
        problem("endpoints: *nothing").starts_with("1:12-20 alias: nothing before this is marked `&nothing`")
    );
    assert!(
        problem("settings: { hosts: &a [*a] }").contains("alias: an alias cannot stand inside the value")
    );
    assert!(problem("- a\n").starts_with("1:1-4 wrong_type: expected a mapping, found a list"));
}

#[test]
fn yaml_that_is_broken() {
    assert_eq!(
        problem("labels:\n\ta: b\n"),
        "2:1-2 yaml: a tab cannot indent YAML (use spaces)"
    );
    let quote = "put a text that contains `: `, ` #`, or begins with a special character, in quotes";
    assert_eq!(
        problem("labels: { é: ü }\na: b: c\n"),
        format!("2:5-6 yaml: a `:` is not expected here ({quote})")
    );
    assert_eq!(
        problem("a: `b`\n"),
        format!("1:4-5 yaml: a text cannot begin with ``` ({quote})")
    );
    assert_eq!(
        problem("settings: { port: ${env.PORT} }"),
        "1:20-21 yaml: expected `,` or `}` (inside `{ }` and `[ ]`, a text with `${...}` needs quotes)"
    );
    assert!(
        problem("a:\n  - x\n b: 2\n").starts_with("3:2-3 yaml: this does not line up with what is above it")
    );
    assert!(problem("a: \"b\nc: d\n").contains("yaml: a quoted text is not closed before this"));
    assert!(problem("a: [1, 2\nb: 3\n").contains("yaml: expected `,` or `]`"));
    assert!(problem("a: 'b' c\n").contains("yaml: something follows the closing quote"));
    assert!(problem("a: \"\\d\"\n").contains("yaml: unknown escape in a double-quoted text"));
    assert_eq!(problem("a\0b: x").split(' ').next(), Some("1:2-3"));
}

#[test]
fn limits_hold() {
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    assert!(
        problem(&deep).contains("too_deep: nested more than 100 levels deep"),
        "{}",
        problem(&deep)
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(problem(&bomb).contains("too_large: the file has more than 500000 values"));
    let mut chain = "a0: &a0 [x]\n".to_owned();
    (1..200).for_each(|level| chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1)));
    assert!(problem(&chain).contains("too_deep"));
    let many: String = (0..700).map(|index| format!("k{index}: 1\n")).collect();
    let (_, project, diagnostics) = load(&many);
    assert_eq!(
        (
            diagnostics.iter().count(),
            diagnostics.left_out(),
            diagnostics.errors()
        ),
        (500, 200, 700)
    );
    assert!(render_all(&diagnostics, &project.sources, Style::Plain).ends_with("and 200 more\n700 errors\n"));
}

#[test]
fn json_for_editors_is_stable() {
    let (_, project, diagnostics) = load("labels: { a: x,\n  a: y }");
    assert_eq!(
        diagnostics.to_json(&project.sources).to_string(),
        r#"[{"file":"m.yaml","line":2,"column":3,"end_line":2,"end_column":4,"code":"config.duplicate_key","severity":"error","message":"the key `a` occurs twice","label":"again here","help":"a key may occur once in a mapping; merge the two or rename one","related":[{"file":"m.yaml","line":1,"column":11,"end_line":1,"end_column":12,"message":"first used here"}]}]"#
    );
}

/// A type with a rule of its own, which no schema knows.
#[derive(Debug, JsonSchema)]
struct Even(#[expect(dead_code, reason = "only its refusal matters")] u8);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u8::deserialize(deserializer)?;
        if value % 2 == 0 {
            Ok(Even(value))
        } else {
            Err(serde::de::Error::custom("must be even"))
        }
    }
}

#[test]
fn rules_of_a_type_are_reported_at_the_value() {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::new());
    let node = parse(&mut sources, "m", "a: [2, 4]\nb: [6,\n  7]\n").0.unwrap();
    assert!(read::<Named<Vec<Even>>>(&node, &mut diagnostics).is_none());
    let lines: Vec<String> = diagnostics.iter().map(|it| one_line(it, &sources)).collect();
    assert_eq!(lines, ["m:3:3-4 bad_value: must be even"]);
}

#[test]
fn a_report_about_a_large_file_is_short() {
    let yaml = format!(
        "{}labels:\n{}",
        "# comment\n".repeat(10_000),
        "  k: [v]\n".repeat(1000)
    );
    let (_, project, diagnostics) = load(&yaml);
    assert_eq!((diagnostics.left_out(), diagnostics.errors()), (500, 1000));
    let text = render_all(&diagnostics, &project.sources, Style::Plain);
    assert!(text.contains("\n10003 |   k: [v]\n"), "{text}");
    assert!(text.len() < Diagnostics::MAX * 500, "{}", text.len());
}
