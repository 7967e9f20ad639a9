//! `claim_check`: a body that is put away comes back after a crash, byte for byte.

use mediary_tests::{Gateway, post};

const PROJECT: &str = "
stores:
  blobs: { durable: {} }
apis:
  a:
    context: /a
    routes:
      POST /in: [ { claim_check: blobs }, respond ]
      POST /out: [ { claim_check: { store: blobs, redeem: payload.claim, remove: true } }, respond ]
      POST /broken: [ { claim_check: { store: blobs, redeem: payload.claim, remove: true } }, { throw: broken } ]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_back_after_a_crash_and_leaves_when_it_has_been_answered() {
    let gateway = Gateway::start(PROJECT, &[]);
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let url = |gateway: &Gateway, path: &str| format!("{}/a/{path}", gateway.url("http"));
    let claim = post(&url(&gateway, "in"), "application/pdf", body.clone())
        .await
        .expect_status(200);
    assert_eq!(
        (&claim.json()["size"], &claim.json()["media_type"]),
        (&3_000_000.into(), &"application/pdf".into())
    );
    assert_eq!(claim.header("content-type"), "application/json");
    let gateway = Gateway::start(gateway.kill(), &[]);
    let redeem = |path: &str| {
        let (url, token) = (url(&gateway, path), claim.text());
        async move { post(&url, "application/json", token).await }
    };
    assert_eq!(redeem("broken").await.status, 500);
    let answer = redeem("out").await.expect_status(200);
    assert!(answer.body == body, "{} bytes", answer.body.len());
    assert_eq!(answer.header("content-type"), "application/pdf");
    assert_eq!(
        redeem("out").await.expect_status(404).json()["code"],
        "client.not_found"
    );
    let forged = post(&url(&gateway, "out"), "application/json", r#"{"claim": "0192"}"#).await;
    assert_eq!(forged.status, 404);
}
