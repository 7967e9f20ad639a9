//! Helper: tests of projects that receive from queues and folders of servers.

use super::passes;
use crate::console::End;
use crate::testing::{Ran, folder, mediary};

/// A queue that nobody must listen to in a test, and a queue and a folder that are written to.
const QUEUES: &str = "\
connections:
  rabbit: { amqp: 'amqp://guest:guest@127.0.0.1:1' }
  files: { ftp: { host: 127.0.0.1, port: 1 } }
endpoints:
  queue: { amqp: { connection: rabbit, routing_key: out }, timeout: 1s }
  folder: { ftp: { connection: files, folder: out } }
proxies:
  orders:
    from: { amqp: { connection: rabbit, queue: in } }
    steps:
      - set: { headers.x-from: \"${source.queue}\" }
      - send: queue
      - call: folder
      - filter: { when: payload.wrong is defined, then: [{ throw: { code: a.b, status: 409, message: No } }] }
";

fn run_queues(test: &str, arguments: &[&str]) -> Ran {
    let folder = folder(&[("p.yaml", QUEUES), ("p.test.yaml", test)]);
    mediary(&[&["test", folder.path().to_str().unwrap()], arguments].concat())
}

#[test]
fn a_message_is_delivered_to_what_has_no_port_and_queues_and_folders_are_mocked() {
    let test = "\
- name: done
  mocks: { queue: { reply: { status: 202 } }, folder: { reply: { json: { stored: 1 } } } }
  send: { to: orders, json: { a: 1 }, source: { queue: in } }
  expect:
    json: { stored: 1 }
    calls: { queue: [{ method: POST, json: { a: 1 }, headers: { x-from: in } }], folder: 1 }
- name: failed
  mocks: { queue: {}, folder: { reply: { json: { wrong: 1 } } } }
  send: { to: proxies.orders, text: x, source: { queue: in } }
  expect: { status: 409, fault: a.b }
- name: gone
  mocks: { queue: { fault: refuse } }
  send: { to: orders, text: x, source: { queue: in } }
  expect: { fault: backend.connect }
";
    let ran = run_queues(test, &[]);
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
    let ran = run_queues("- { name: nowhere, send: { to: order } }", &[]);
    assert_eq!(ran.end, End::Problems);
    assert!(
        ran.out.contains("there is no `proxies.order` that receives"),
        "{}",
        ran.out
    );
    let ran = run_queues("- { name: both, send: { to: orders, GET: /a } }", &[]);
    assert!(
        ran.err
            .contains("either to an artifact or, with a method, to a path"),
        "{}",
        ran.err
    );
}

#[test]
fn live_tests_are_left_out_or_need_their_servers() {
    let test = "- { name: real, live: true, send: { to: orders } }";
    let ran = run_queues(test, &[]);
    assert_eq!(ran.end, End::Problems);
    assert!(ran.err.contains("run them with `--live`"), "{}", ran.err);
    let ran = run_queues(test, &["--live"]);
    assert_eq!(ran.end, End::Problems);
    let expected = "nothing answers at 127.0.0.1:1, where the connection `rabbit` leads to";
    assert!(ran.err.contains(expected), "{}", ran.err);

    let mixed = format!(
        "{test}\n- {{ name: mocked, mocks: {{ queue: {{}}, folder: {{}} }}, send: {{ to: orders, source: {{ queue: in }} }} }}"
    );
    let ran = run_queues(&mixed, &[]);
    assert_eq!(ran.end, End::Fine, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("1 live test left out"), "{}", ran.out);
}

#[test]
fn line_breaks_of_csv_are_as_good_as_those_of_yaml() {
    passes(
        "- { name: a, mocks: { back: { reply: { text: \"a\\r\\nb\\r\\n\" } } }, send: { GET: /a/back }, expect: { text: \"a\\nb\" } }",
    );
}
