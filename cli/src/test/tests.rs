//! The test command on whole projects: what passes, what fails and how that reads.

mod queues;

use crate::console::End;
use crate::testing::{Ran, folder, mediary};

const PROJECT: &str = "\
endpoints:
  back: { http: 'http://backend.invalid/base', timeout: 1s }
apis:
  a:
    context: /a
    routes:
      GET /hello:
        - payload: { json: { greeting: hello, items: [1, 2] } }
        - respond: { headers: { x-kind: greeting } }
      GET /xml:
        - payload: { xml: '<m:r xmlns:m=\"urn:m\"><m:v a=\"1\">7</m:v></m:r>' }
        - respond
      ANY /back:
        - call: { endpoint: back, path: /more }
        - respond
      GET /never:
        - respond
";

fn run(test: &str, arguments: &[&str]) -> Ran {
    let folder = folder(&[("p.yaml", PROJECT), ("p.test.yaml", test)]);
    let path = folder.path().to_str().unwrap();
    let mut ran = mediary(&[&["test", path], arguments].concat());
    ran.out = ran.out.replace(path, "DIR");
    ran.err = ran.err.replace(path, "DIR");
    ran
}

#[track_caller]
fn passes(test: &str) {
    let ran = run(test, &[]);
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
}

#[track_caller]
fn fails(test: &str, with: &[&str]) {
    let ran = run(test, &[]);
    assert_eq!(ran.end, End::Problems, "{}{}", ran.out, ran.err);
    for text in with {
        assert!(ran.out.contains(text), "{text:?} is not in\n{}", ran.out);
    }
}

#[test]
fn replies_are_compared_in_every_way() {
    passes(
        "\
- name: json
  send: { GET: /a/hello }
  expect:
    status: 2xx
    headers: { x-kind: greeting, x-other: null, content-type: { contains: json } }
    json: { items: [1, 2.0] }
    jsonpath: { '$.greeting': { matches: '^h' }, '$.items[*]': [1, 2], $.none: null }
    contains: hello
- name: xml
  send: { GET: /a/xml }
  expect:
    status: [200, 204]
    xml: '<r xmlns=\"urn:m\"> <v a=\"1\">7</v> </r>'
    xpath: { \"//*[local-name()='v']\": 7, 'count(//*)': 2, //none: null }
",
    );
}

#[test]
fn what_does_not_hold_is_shown_at_its_place() {
    let ran = run(
        "\
- name: wrong
  send: { GET: /a/hello }
  expect:
    status: 404
    json: { greeting: bye, items: [1] }
",
        &["--filter", "wrong"],
    );
    assert_eq!(ran.end, End::Problems);
    let shown: Vec<&str> = ran.out.lines().skip(1).collect();
    let shown = shown.join("\n");
    let (shown, _) = shown.rsplit_once("\n\n").unwrap();
    insta::assert_snapshot!(shown, @r##"
    error[test.failed]: the status is another one
     --> DIR/p.test.yaml:4:13
      |
    4 |     status: 404
      |             ^^^ it is 200

    error[test.failed]: `$.greeting` is `"hello"`, not `"bye"`
     --> DIR/p.test.yaml:5:23
      |
    5 |     json: { greeting: bye, items: [1] }
      |                       ^^^

    error[test.failed]: `$.items` has 2 items, not 1
     --> DIR/p.test.yaml:5:35
      |
    5 |     json: { greeting: bye, items: [1] }
      |                                   ^^^

        the body:
        {
          "greeting": "hello",
          "items": [
            1,
            2
          ]
        }
    "##);
}

#[test]
fn other_differences_fail_too() {
    fails(
        "\
- { name: a, send: { GET: /a/xml }, expect: { xml: '<r/>' } }
- { name: b, send: { GET: /a/xml }, expect: { json: {} } }
- { name: c, send: { GET: /a/hello }, expect: { headers: { x-kind: other, x-more: 1 } } }
- { name: d, send: { GET: /a/nothing }, expect: { fault: client.bad_request } }
- { name: e, send: { GET: /a/hello }, expect: { json: { greeting: hello }, exact: true } }
- { name: f, send: { GET: /a/xml }, expect: { xpath: { //x: 1 }, text: x, contains: y } }
",
        &[
            "the XML body is another one",
            "the body is not JSON",
            "the header `x-kind` is another one",
            "the header `x-more` is missing",
            "it is `client.not_found`",
            "`$.items` is not expected",
            "nothing is selected",
            "the text is another one",
            "6 tests failed, 0 passed",
        ],
    );
}

#[test]
fn mocks_answer_in_order_and_remember_what_they_were_asked() {
    passes(
        "\
- name: in order
  mocks:
    back:
      replies:
        - { status: 201, json: { n: 1 }, headers: { x-a: b } }
        - { text: two }
  steps:
    - send: { POST: /a/back, json: { q: [1] }, headers: { x-trace: t1 } }
      expect:
        status: 201
        headers: { x-a: b }
        json: { n: 1 }
        calls: { back: [{ method: POST, path: /base/more, headers: { x-trace: t1 }, json: { q: [1] } }] }
    - send: { GET: /a/back }
      expect: { text: two, calls: { back: 1 } }
    - send: { GET: /a/back }
      expect: { text: two }
",
    );
    fails(
        "\
- name: not called
  mocks: { back: {} }
  send: { GET: /a/hello }
  expect: { calls: { back: 1 } }
",
        &["`back` was called 0 times, not 1"],
    );
}

#[test]
fn mocks_can_fail_like_backends_do() {
    passes(
        "\
- { name: refuse, mocks: { back: { fault: refuse } }, send: { GET: /a/back }, expect: { fault: backend.connect, calls: { back: 0 } } }
- { name: close, mocks: { back: { fault: close } }, send: { GET: /a/back }, expect: { status: 502, fault: backend.connection_lost } }
- { name: timeout, mocks: { back: { fault: timeout } }, send: { GET: /a/back }, expect: { status: 504, fault: backend.timeout } }
",
    );
}

#[test]
fn steps_that_no_test_reached_are_listed() {
    let ran = run(
        "- { name: one, send: { GET: /a/hello }, expect: { status: 200 } }",
        &[],
    );
    assert!(ran.out.contains("steps reached: 2 of 7 (28 %)"), "{}", ran.out);
    assert!(
        ran.out
            .contains("not reached DIR/p.yaml:17:11  respond  apis.a.GET /never[0]"),
        "{}",
        ran.out
    );
}

#[test]
fn typos_and_absent_tests_are_errors() {
    let ran = run(
        "- { name: one, mocks: { bak: {} }, send: { GET: a }, expect: { calls: { back: 1 } } }",
        &[],
    );
    assert_eq!(ran.end, End::Problems);
    for text in [
        "there is no endpoint `bak`",
        "did you mean `back`?",
        "does not begin with `/`",
        "`back` is not mocked here",
    ] {
        assert!(ran.err.contains(text), "{text:?} is not in\n{}", ran.err);
    }
    let ran = run("", &[]);
    assert_eq!(ran.end, End::Problems);
    assert!(ran.err.contains("no test was found"), "{}", ran.err);
    let ran = run("- { name: one, send: { GET: /a/hello } }", &["--filter", "two"]);
    assert_eq!(ran.end, End::Problems);
}

#[test]
fn a_test_can_bring_variables_and_values() {
    let project = "\
apis:
  a:
    context: /a
    routes:
      POST /: [{ filter: { when: payload != '' } }, { payload: { text: 'hello ${env.WHO}' } }, respond]
";
    let test = "\
- { name: env, env: { WHO: Ada }, send: { POST: /a, text: x }, expect: { text: hello Ada } }
- name: limit
  env: { WHO: Bob }
  set: settings.limits.body=1B
  send: { POST: /a, text: too long }
  expect: { status: 413, fault: client.body_too_large }
";
    let folder = folder(&[("p.yaml", project), ("p.test.yaml", test)]);
    let ran = mediary(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
}

#[test]
fn a_backend_in_the_same_project_is_found_on_its_free_port() {
    let project = "\
settings: { listeners: { http: { port: 8290 }, backend: { port: 9000 } } }
proxies:
  front: { from: { http: { path: /front, listeners: http } }, to: 'http://localhost:9000/back' }
  back:
    from: { http: { path: /back, listeners: backend } }
    steps: [{ payload: { text: from the back } }, respond]
";
    let test = "- { name: both, send: { GET: /front }, expect: { status: 200, text: from the back } }";
    let folder = folder(&[("p.yaml", project), ("p.test.yaml", test)]);
    let ran = mediary(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
}

#[test]
fn results_are_written_for_build_servers() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    run(
        "- { name: one, send: { GET: /a/hello }, expect: { status: 500 } }",
        &["--junit", path],
    );
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains("failures=\"1\"") && text.contains("the status is another one"),
        "{text}"
    );
}

/// A stored message is delivered after the reply, and a file is dealt with after it was written.
const BEHIND: &str = "\
endpoints:
  back: { http: 'http://backend.invalid/base' }
  drop: { file: data/drop }
stores:
  waiting: { durable: {} }
processors:
  waiting: { store: waiting, forward: { to: back, backoff: 10ms } }
proxies:
  drop: { from: { file: { folder: data/drop, pattern: '*.in', after: { move: done }, every: 50ms } }, steps: [ { delay: 1ms } ] }
apis:
  a:
    context: /a
    routes:
      POST /:
        - store: { in: waiting, location: '/a/${vars.stored.id}' }
      GET /{id}:
        - store_state: { in: waiting, id: '${params.id}' }
        - respond
      GET /files/{name}:
        - file_exists: { endpoint: drop, name: 'done/${params.name}', into: there }
        - respond: { payload: { there: '${vars.there}' } }
";

fn run_behind(test: &str) -> (Ran, tempfile::TempDir) {
    let folder = folder(&[
        ("p.yaml", BEHIND),
        ("p.test.yaml", test),
        ("data/drop/1.in", "text"),
    ]);
    let ran = mediary(&["test", folder.path().to_str().unwrap()]);
    (ran, folder)
}

#[test]
fn what_comes_later_is_waited_for() {
    let (ran, folder) = run_behind(
        "\
- name: a message on its way
  mocks: { back: { replies: [ { status: 503, delay: 100ms }, { status: 204 } ] } }
  steps:
    - send: { POST: /a, json: { n: 1 } }
      expect: { status: 202, calls: { back: [ { json: { n: 1 } }, { json: { n: 1 } } ] }, within: 10s }
      keep: { id: $.id, place: location }
    - send: { GET: '/a/${id}', headers: { x-id: '${id}' } }
      expect: { json: { state: done }, within: 10s }
    - send: { GET: '${place}' }
      expect: { json: { state: done, attempts: 1 } }
- name: a file on its way
  send: { GET: /a/files/1.in }
  expect: { json: { there: true }, within: 10s }
",
    );
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
    assert!(
        folder.path().join("data/drop/1.in").is_file(),
        "the project's own folder is left alone"
    );
    assert!(
        !folder.path().join("data/waiting.redb").exists(),
        "the project's own store is left alone"
    );
}

#[test]
fn what_does_not_come_in_time_is_told() {
    let (ran, _folder) = run_behind(
        "\
- name: nothing there
  send: { GET: /a/files/2.in }
  expect: { json: { there: true }, within: 120ms }
- name: nothing to keep
  mocks: { back: { reply: { status: 204 } } }
  steps: [ { send: { POST: /a }, keep: { id: $.none } }, { send: { POST: /a }, keep: { id: x-none } } ]
",
    );
    assert_eq!(ran.end, End::Problems);
    for text in [
        "`$.there` is `false`, not `true`",
        "this is not one value of the body",
        "the reply has no header `x-none`",
    ] {
        assert!(ran.out.contains(text), "{text:?} is not in\n{}", ran.out);
    }
}
