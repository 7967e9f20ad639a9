//! Routing through its public door: patterns in, resolutions out.

use super::*;
use crate::deployment::ArtifactKind;
use crate::observe::Metrics;

fn route(name: &str, pattern: &str) -> Arc<Route> {
    let artifact = Artifact {
        name: name.into(),
        kind: ArtifactKind::Api,
        policies: Sequence::default(),
        on_fault: None,
        dead_letter: None,
        routes: Vec::new(),
    };
    Arc::new(Route {
        artifact: Arc::new(artifact),
        template: name.into(),
        parameters: parameter_names(pattern),
        policies: Sequence::default(),
        steps: Sequence::default(),
        on_fault: None,
        original: None,
        timeout: None,
        soap: false,
        metrics: Metrics::default().route(&"a".into(), &"r".into()),
    })
}

fn table(routes: &[(&str, &str, Guard)]) -> RouteTable {
    let mut builder = RouteTableBuilder::default();
    for (method, pattern, guard) in routes {
        let method: Option<Method> = (*method != "ANY").then(|| method.parse().unwrap());
        let name = format!("{} {pattern}", method.as_ref().map_or("ANY", Method::as_str));
        builder
            .add(
                &"http".into(),
                pattern,
                guard,
                method.as_ref(),
                &route(&name, pattern),
            )
            .unwrap();
    }
    builder.finish().unwrap()
}

fn look(table: &RouteTable, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    match table.resolve(
        "http",
        path,
        &HeaderMap::new(),
        "host:80",
        &method.parse().unwrap(),
    ) {
        Resolution::Found {
            route,
            parameters,
            rest,
        } => {
            let parameters: Vec<String> = parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{} [{}] {rest}", route.template, parameters.join(","))
        }
        Resolution::Options { allow, .. } => format!("options {allow}"),
        Resolution::MethodNotAllowed { allow } => format!("405 {allow}"),
        Resolution::NotFound => "404".to_owned(),
    }
}

#[test]
fn the_most_specific_path_wins() {
    let any = Guard::default;
    let table = table(&[
        ("GET", "/a/{id}", any()),
        ("GET", "/a/fixed", any()),
        ("GET", "/a/{other}/items", any()),
        ("GET", "/a/fixed/parts", any()),
        ("ANY", "/legacy", any()),
        ("ANY", "/legacy/{*rest}", any()),
        ("GET", "/files/{*path}", any()),
    ]);
    assert_eq!(look(&table, "GET /a/7"), "GET /a/{id} [id=7] ");
    assert_eq!(look(&table, "GET /a/b%20c"), "GET /a/{id} [id=b c] ");
    assert_eq!(look(&table, "GET /a/fixed"), "GET /a/fixed [] ");
    assert_eq!(
        look(&table, "GET /a/fixed/items"),
        "GET /a/{other}/items [other=fixed] "
    );
    assert_eq!(look(&table, "GET /a/fixed/parts"), "GET /a/fixed/parts [] ");
    assert_eq!(look(&table, "PATCH /legacy/x/y"), "ANY /legacy/{*rest} [] /x/y");
    assert_eq!(look(&table, "PATCH /legacy"), "ANY /legacy [] ");
    assert_eq!(
        look(&table, "GET /files/x/y.txt"),
        "GET /files/{*path} [path=x/y.txt] "
    );
    assert_eq!(look(&table, "GET /none"), "404");
    assert_eq!(look(&table, "HEAD /a/7"), "GET /a/{id} [id=7] ");
}

#[test]
fn a_wrong_method_is_told_what_is_allowed() {
    let table = table(&[("GET", "/a", Guard::default()), ("POST", "/a", Guard::default())]);
    assert_eq!(look(&table, "DELETE /a"), "405 GET, HEAD, OPTIONS, POST");
    assert_eq!(look(&table, "OPTIONS /a"), "options GET, HEAD, OPTIONS, POST");
}

#[test]
fn guards_select_by_header_and_host() {
    let version = |value: &str| Guard {
        version_header: Some((HeaderName::from_static("x-version"), value.to_owned())),
        host: None,
    };
    let host = Guard {
        version_header: None,
        host: Some("api.example.com".to_owned()),
    };
    let mut builder = RouteTableBuilder::default();
    for (guard, name) in [
        (Guard::default(), "plain"),
        (version("v1"), "v1"),
        (version("v2"), "v2"),
        (host, "host"),
    ] {
        builder
            .add(&"http".into(), "/a", &guard, None, &route(name, "/a"))
            .unwrap();
    }
    let table = builder.finish().unwrap();
    let found =
        |headers: &HeaderMap, host: &str| match table.resolve("http", "/a", headers, host, &Method::GET) {
            Resolution::Found { route, .. } => route.template.to_string(),
            _ => "none".to_owned(),
        };
    let mut headers = HeaderMap::new();
    assert_eq!(found(&headers, "x"), "plain");
    assert_eq!(found(&headers, "API.example.com:8290"), "host");
    headers.insert("x-version", "v2".parse().unwrap());
    assert_eq!(found(&headers, "x"), "v2");
}

#[test]
fn a_place_is_taken_once() {
    let mut builder = RouteTableBuilder::default();
    let (listener, any) = ("http".into(), Guard::default());
    builder
        .add(
            &listener,
            "/a/{x}",
            &any,
            Some(&Method::GET),
            &route("first", "/a/{x}"),
        )
        .unwrap();
    let second = builder.add(
        &listener,
        "/a/{y}",
        &any,
        Some(&Method::GET),
        &route("second", "/a/{y}"),
    );
    assert_eq!(second.unwrap_err(), RouteConflict::Taken("first".into()));
    builder
        .add(
            &listener,
            "/a/{y}",
            &any,
            Some(&Method::PUT),
            &route("third", "/a/{y}"),
        )
        .unwrap();
}
