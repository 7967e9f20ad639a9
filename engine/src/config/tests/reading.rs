//! What is right is read, exactly as written.

use super::*;

#[test]
fn every_field_type() {
    let gateway = gateway(
        r#"
settings:
  port: 8290
  hosts: [a, 1.10]
endpoints:
  quotes:
    http: http://localhost:9000
    timeout: 1h30m
    retry: { attempts: 2, on: timeout }
    soap: 1.1
    limit: 10MiB
    password: 0123
    keep_alive: true
    ratio: 1
  other: { http: "http://x", soap: "1.2", retry: { attempts: 1, on: [connect, timeout] } }
proxies:
  in:
    from: { file: { folder: ./in, every: 1s } }
    steps:
      - log: text
      - respond
    when: payload.x > 1
    payload: { amount: 1.10, id: 012, big: 123456789012345678901, on: yes, "q": "1" }
    throttle: 5/10s
  bare: { from: local, steps: respond }
labels: { version: 1.10, on: yes, 404: gone }
"#,
    );
    assert_eq!(gateway.settings.port, 8290);
    assert_eq!(gateway.settings.hosts, ["a", "1.10"]);
    let quotes = gateway.endpoints.get("quotes").unwrap();
    assert_eq!(quotes.http.value, "http://localhost:9000");
    assert_eq!(quotes.timeout, Duration::from_secs(5400));
    assert_eq!(quotes.soap, Some(Soap::V11));
    assert_eq!(quotes.limit, Size::from_mib(10));
    assert_eq!(quotes.password.as_ref().unwrap().expose(), "0123");
    assert_eq!((quotes.keep_alive, quotes.ratio), (true, Some(1.0)));
    assert_eq!(*quotes.retry.as_ref().unwrap().on, [RetryOn::Timeout]);
    let other = gateway.endpoints.get("other").unwrap();
    assert_eq!(
        (other.timeout, &other.soap),
        (Duration::from_secs(5), &Some(Soap::V12))
    );
    assert_eq!(other.retry.as_ref().unwrap().attempts, 1);
    assert_eq!(
        *other.retry.as_ref().unwrap().on,
        [RetryOn::Connect, RetryOn::Timeout]
    );
    assert_eq!(gateway.endpoints.names().collect::<Vec<_>>(), ["quotes", "other"]);
    proxies_are_read(&gateway);
    assert_eq!(gateway.labels["version"], "1.10");
    assert_eq!(gateway.labels["on"], "yes");
    assert_eq!(gateway.labels["404"], "gone");
}

fn proxies_are_read(gateway: &Gateway) {
    let proxy = gateway.proxies.get("in").unwrap();
    assert_eq!(
        proxy.from,
        Entry::File {
            folder: "./in".into(),
            every: Some(Duration::from_secs(1))
        }
    );
    assert_eq!(
        proxy.steps.iter().map(|step| &*step.name).collect::<Vec<_>>(),
        ["log", "respond"]
    );
    assert_eq!(proxy.steps[0].settings.as_str(), Some("text"));
    assert!(proxy.steps[1].settings.is_null());
    assert_eq!(proxy.when.as_ref().unwrap().as_str(), "payload.x > 1");
    let json = proxy.payload.as_ref().unwrap().to_json().to_string();
    assert_eq!(
        json,
        r#"{"amount":1.10,"id":"012","big":123456789012345678901,"on":"yes","q":"1"}"#
    );
    assert_eq!(proxy.throttle.unwrap().to_string(), "5/10s");
    let bare = gateway.proxies.get("bare").unwrap();
    assert_eq!((&bare.from, bare.steps.len()), (&Entry::Local, 1));
}

#[test]
fn nothing_is_an_empty_project() {
    assert!(gateway("").endpoints.is_empty());
    assert!(gateway("# only a comment\n").endpoints.is_empty());
    assert!(gateway("endpoints:\nproxies: ~\n").endpoints.is_empty());
}

#[test]
fn anchors_and_aliases_share_values() {
    let gateway =
        gateway("endpoints:\n  a: &a { http: x, timeout: &t 2s }\n  b: *a\n  c: { http: y, timeout: *t }\n");
    assert_eq!(gateway.endpoints.get("b").unwrap().http.value, "x");
    assert_eq!(
        gateway.endpoints.get("c").unwrap().timeout,
        Duration::from_secs(2)
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Log {
    text: String,
    #[serde(default)]
    fields: Vec<String>,
}

fn log(yaml: &str) -> (Option<Log>, Vec<String>) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::new());
    let node = parse(&mut sources, "m", yaml).0.unwrap();
    let log = read_with_shorthand::<Log>(&node.entries()[0].1, "text", &mut diagnostics);
    (log, diagnostics.iter().map(|it| one_line(it, &sources)).collect())
}

#[test]
fn shorthand_keeps_places() {
    assert_eq!(log("log: hello").0.unwrap().text, "hello");
    let long = log("log: { text: hello, fields: [a] }").0.unwrap();
    assert_eq!((long.text.as_str(), long.fields.len()), ("hello", 1));
    assert_eq!(
        log("log: [a]").1,
        ["m:1:6-9 wrong_type: expected text, found a list (a text that begins with `{` or `[` needs quotes)"]
    );
    assert_eq!(log("log:").1, ["m:1:1-4 missing_key: the key `text` is missing"]);
}

#[test]
fn the_schema_is_good_for_editors() {
    let schema = schema_of::<Gateway>();
    let defs = &schema.as_value()["$defs"];
    assert_eq!(defs["Endpoint"]["properties"]["timeout"]["default"], "5s");
    assert_eq!(
        defs["Endpoint"]["properties"]["http"]["description"],
        "Where to send."
    );
    assert_eq!(defs["Proxy"]["properties"]["steps"]["$ref"], "#/$defs/steps");
    assert_eq!(defs["duration"]["examples"][0], "250ms");
    assert_eq!(defs["Endpoint"]["additionalProperties"], false);
    assert!(std::sync::Arc::ptr_eq(&schema, &schema_of::<Gateway>()));
}
