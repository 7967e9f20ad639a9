//! What nobody was asked to change leaves as it came: bytes, digits, order, prefixes, trailers.

use mediary_tests::{Backend, Gateway, get, post};
use serde_json::json;

fn pass_through(backend: &Backend) -> String {
    format!(
        "proxies:\n  all:\n    from: {{ http: / }}\n    to: {}\n",
        backend.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_through_changes_no_byte() {
    let backend = Backend::echo();
    let gateway = Gateway::start(pass_through(&backend).as_str(), &[]);
    let bodies: [(&str, &[u8]); 4] = [
        ("application/json", br#"{ "b" : 1.10,"a":1e2 , "a":3}"#),
        (
            "application/xml",
            b"<?xml version='1.0'?>\r\n<a  x = '1'><![CDATA[<]]></a >",
        ),
        ("application/octet-stream", &[0, 255, 13, 10, 0]),
        ("text/plain; charset=latin1", b"caf\xe9"),
    ];
    for (media_type, body) in bodies {
        let answer = post(
            &format!("{}/x?q=%20", gateway.url("http")),
            media_type,
            body.to_vec(),
        )
        .await;
        assert_eq!(answer.body, body, "{media_type}");
        assert_eq!(answer.header("content-type"), media_type);
    }
    let recorded = backend.requests();
    assert!(
        recorded.iter().all(|request| request.path == "/x?q=%20"),
        "{recorded:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_keeps_its_digits_and_order_when_a_step_changes_something_else() {
    let backend = Backend::echo();
    let project = format!(
        "apis:\n  a:\n    context: /a\n    routes:\n      POST /:\n        - set: {{ payload.added: true }}\n        - call: {}\n",
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    let body =
        r#"{"z":1.10,"y":1e2,"x":12345678901234567890123,"w":null,"v":-0,"u":[1.0,2E+7],"added":false}"#;
    let answer = post(&format!("{}/a", gateway.url("http")), "application/json", body)
        .await
        .expect_status(200);
    assert_eq!(answer.text(), body.replace("false", "true"));
    assert_eq!(backend.request().text(), body.replace("false", "true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_only_read_leaves_as_its_original_bytes() {
    let backend = Backend::echo();
    let project = format!(
        "proxies:\n  a:\n    from: {{ http: /a }}\n    steps:\n      - filter: {{ when: \"payload.order.id == 'A'\", else: [{{ throw: {{ code: client.bad_request, message: no }} }}] }}\n    to: {}\n",
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    let url = format!("{}/a", gateway.url("http"));
    let xml = "<?xml version=\"1.0\"?>\n<order  kind = 'x'><id>A</id><!-- kept --><![CDATA[ ]]></order>\n";
    assert_eq!(
        post(&url, "application/xml", xml).await.expect_status(200).text(),
        xml
    );
    let json = "{ \"order\" :\t{\"id\":\"A\",\"n\":1.00} }";
    assert_eq!(
        post(&url, "application/json", json)
            .await
            .expect_status(200)
            .text(),
        json
    );
    let refused = post(&url, "application/json", r#"{"order":{"id":"B"}}"#)
        .await
        .expect_status(400);
    assert_eq!(refused.json()["code"], json!("client.bad_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_keys_are_refused_where_a_step_reads_them() {
    let project = "apis:\n  a:\n    context: /a\n    routes:\n      POST /:\n        - log: ${payload.a}\n        - respond\n";
    let gateway = Gateway::start(project, &[]);
    let answer = post(
        &format!("{}/a", gateway.url("http")),
        "application/json",
        r#"{"a":1,"a":2}"#,
    )
    .await;
    let problem = answer.expect_status(400);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(problem.json()["code"], json!("client.malformed_body"));
    assert_eq!(
        problem.json()["type"],
        json!("urn:mediary:fault:client.malformed_body")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_for_paths_and_methods_it_does_not_have() {
    let project = "apis:\n  a:\n    context: /a\n    version: v1\n    routes:\n      GET /{id}:\n        - payload: { json: { id: \"${params.id}\", q: \"${query.q | default('none')}\" } }\n        - respond\n      GET /special:\n        - payload: { text: special }\n        - respond: { status: 203 }\n";
    let gateway = Gateway::start(project, &[]);
    let base = gateway.url("http").to_owned();
    assert_eq!(
        get(&format!("{base}/a/v1/7?q=x%20y"))
            .await
            .expect_status(200)
            .json(),
        json!({"id": "7", "q": "x y"})
    );
    assert_eq!(
        get(&format!("{base}/a/v1/special"))
            .await
            .expect_status(203)
            .text(),
        "special"
    );
    assert_eq!(
        get(&format!("{base}/b")).await.expect_status(404).json()["code"],
        json!("client.not_found")
    );
    let wrong = post(&format!("{base}/a/v1/7"), "text/plain", "x")
        .await
        .expect_status(405);
    assert_eq!(wrong.header("allow"), "GET, HEAD, OPTIONS");
    let openapi = get(&format!("{base}/a/v1?openapi"))
        .await
        .expect_status(200)
        .json();
    assert_eq!(openapi["openapi"], json!("3.1.0"));
    assert_eq!(openapi["servers"][0]["url"], json!(format!("{base}/a/v1")));
    assert_eq!(
        openapi["paths"]["/{id}"]["get"]["parameters"][0]["name"],
        json!("id")
    );
}
