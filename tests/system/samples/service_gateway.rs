//! `service-gateway` between backends that record what they are asked: the order of the calls, what is in them, and what happens
//! when one of them fails.

use super::start;
use mediary_tests::{Answer, Backend, Gateway, Recorded, Reply, post, refused_url};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Names of backends with the calls they got, in the order of all of them.
type Journal = Arc<Mutex<Vec<String>>>;

/// The five backends of a normal day; a test replaces the one it is about.
struct World {
    journal: Journal,
    hospital: Backend,
    payments: Backend,
    standby: Backend,
    insurance: Backend,
    reminders: Backend,
}

/// A backend that writes its calls into the journal.
fn backend(
    name: &'static str,
    journal: &Journal,
    answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
) -> Backend {
    let journal = Arc::clone(journal);
    Backend::start(move |request| {
        let path = request.path.split('?').next().unwrap_or_default();
        journal
            .lock()
            .unwrap()
            .push(format!("{name} {} {path}", request.method));
        answer(request)
    })
}

fn created(body: &Value) -> Reply {
    Reply::status(201)
        .header("content-type", "application/json")
        .body(body.to_string())
}

impl World {
    fn new() -> Self {
        let journal = Journal::default();
        let hospital = backend("hospital", &journal, |request| match request.method.as_str() {
            "GET" => Reply::json(&json!({"doctors": [
                {"id": "D1", "name": "Thomas Collins", "fee": 7000},
                {"id": "D2", "name": "Abner Jones", "fee": 11000},
            ]})),
            "POST" => created(&json!({"id": "r-1"})),
            _ => Reply::status(204),
        });
        let coverage = "<coverage><percent>80</percent></coverage>";
        Self {
            hospital,
            payments: backend("payments", &journal, |_| created(&json!({"receipt": "first"}))),
            standby: backend("standby", &journal, |_| created(&json!({"receipt": "second"}))),
            insurance: backend("insurance", &journal, move |_| {
                Reply::ok("application/xml", coverage)
            }),
            reminders: backend("reminders", &journal, |_| created(&json!({"id": "m-1"}))),
            journal,
        }
    }

    /// The gateway between these backends, and the address of its API.
    fn gateway(&self, payments: &str) -> (Gateway, String) {
        let gateway = start(
            "service-gateway",
            &[
                ("clemency.http", &self.hospital.url()),
                ("payments.failover.endpoints.0.http", payments),
                ("payments.failover.endpoints.1.http", &self.standby.url()),
                ("insurance.http", &self.insurance.url()),
                ("reminders.http", &self.reminders.url()),
            ],
        );
        let url = format!("{}/appointments/v1", gateway.url("http"));
        (gateway, url)
    }

    fn journal(&self) -> Vec<String> {
        self.journal.lock().unwrap().clone()
    }
}

fn request(doctor: &str, card: &str) -> Value {
    json!({
        "hospital": "Clemency", "category": "surgery", "doctor": doctor, "date": "2026-04-01",
        "patient": {"name": "Ann <A>", "email": "ann@example.org", "card": card, "policy": "P&1"},
    })
}

async fn book(url: &str, body: &Value) -> Answer {
    post(url, "application/json", body.to_string()).await
}

const IN_ORDER: [&str; 3] = [
    "hospital GET /doctors",
    "hospital POST /reservations",
    "payments POST /",
];

#[tokio::test]
async fn three_calls_in_order_and_two_at_once_make_one_answer() {
    let world = World::new();
    let (_gateway, url) = world.gateway(&world.payments.url());
    let answer = book(&url, &request("Abner Jones", "1234"))
        .await
        .expect_status(201);
    let expected = json!({
        "reservation": "r-1", "hospital": "Clemency", "doctor": "Abner Jones", "date": "2026-04-01",
        "payment": {"fee": 11000, "receipt": "first"}, "covered_percent": 80, "reminder": "m-1",
    });
    assert_eq!(answer.json(), expected);

    let journal = world.journal();
    assert_eq!(journal[..3], IN_ORDER);
    let mut parallel = journal[3..].to_vec();
    parallel.sort();
    assert_eq!(parallel, ["insurance POST /", "reminders POST /"]);

    let hospital = world.hospital.requests();
    assert_eq!(hospital[0].path, "/doctors?category=surgery");
    assert_eq!(
        hospital[1].json(),
        json!({"doctor": "D2", "patient": "Ann <A>", "date": "2026-04-01"})
    );
    assert_eq!(
        world.payments.request().json(),
        json!({"reservation": "r-1", "card": "1234", "amount": 11000})
    );
    assert!(!world.payments.request().header("idempotency-key").is_empty());
    assert_eq!(
        world.reminders.request().json(),
        json!({"to": "ann@example.org", "at": "2026-04-01"})
    );
    let claim = world.insurance.request();
    assert!(
        claim.header("content-type").starts_with("application/xml"),
        "{}",
        claim.header("content-type")
    );
    assert_eq!(
        claim.text(),
        r#"<claim reservation="r-1"><policy>P&amp;1</policy><fee>11000</fee></claim>"#
    );
}

#[tokio::test]
async fn the_two_calls_run_at_the_same_time() {
    let mut world = World::new();
    let delay = Duration::from_millis(400);
    world.insurance = Backend::replying(
        Reply::ok("application/xml", "<coverage><percent>5</percent></coverage>").delay(delay),
    );
    world.reminders = Backend::replying(created(&json!({"id": "m-2"})).delay(delay));
    let (_gateway, url) = world.gateway(&world.payments.url());
    let start = Instant::now();
    let answer = book(&url, &request("Abner Jones", "1234"))
        .await
        .expect_status(201)
        .json();
    assert!(
        start.elapsed() < delay * 2,
        "one after the other: {:?}",
        start.elapsed()
    );
    assert_eq!(
        (&answer["covered_percent"], &answer["reminder"]),
        (&json!(5), &json!("m-2"))
    );
}

#[tokio::test]
async fn the_standby_takes_over_when_payments_are_down() {
    for down in [refused_url(), Backend::replying(Reply::status(503)).url()] {
        let world = World::new();
        let (_gateway, url) = world.gateway(&down);
        let answer = book(&url, &request("Thomas Collins", "1234"))
            .await
            .expect_status(201)
            .json();
        assert_eq!(
            answer["payment"],
            json!({"fee": 7000, "receipt": "second"}),
            "{down}"
        );
        assert_eq!(world.standby.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_payment_that_hangs_goes_to_the_standby_with_the_same_key() {
    let world = World::new();
    let hanging = Backend::replying(Reply::never());
    let (_gateway, url) = world.gateway(&hanging.url());
    let answer = book(&url, &request("Thomas Collins", "1234"))
        .await
        .expect_status(201)
        .json();
    assert_eq!(answer["payment"]["receipt"], "second");
    let (first, second) = (hanging.request(), world.standby.request());
    assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
    assert_eq!(first.json(), second.json());
}

#[tokio::test]
async fn a_hospital_that_stumbles_is_asked_again() {
    let mut world = World::new();
    let doctors = Reply::json(&json!({"doctors": [{"id": "D1", "name": "Thomas Collins", "fee": 1}]}));
    world.hospital = Backend::script(vec![Reply::status(503), doctors, created(&json!({"id": "r-2"}))]);
    let (_gateway, url) = world.gateway(&world.payments.url());
    let answer = book(&url, &request("Thomas Collins", "1234"))
        .await
        .expect_status(201)
        .json();
    assert_eq!(answer["reservation"], "r-2");
    assert_eq!(world.hospital.requests().len(), 3, "one call was made twice");
}

#[tokio::test]
async fn slow_and_broken_informants_do_not_hold_the_appointment_up() {
    let mut world = World::new();
    world.insurance = Backend::replying(Reply::never());
    world.reminders = Backend::replying(Reply::status(500));
    let (_gateway, url) = world.gateway(&world.payments.url());
    let start = Instant::now();
    let answer = book(&url, &request("Abner Jones", "1234"))
        .await
        .expect_status(201)
        .json();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "the branch has its own timeout: {:?}",
        start.elapsed()
    );
    assert_eq!(
        (&answer["covered_percent"], &answer["reminder"]),
        (&json!(0), &json!(null))
    );
}

#[tokio::test]
async fn a_refused_card_gives_the_reservation_back() {
    let mut world = World::new();
    let journal = Arc::clone(&world.journal);
    world.payments = backend("payments", &journal, |_| Reply::status(402));
    let (_gateway, url) = world.gateway(&world.payments.url());
    let problem = book(&url, &request("Abner Jones", "4000"))
        .await
        .expect_status(402);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    assert_eq!(problem.json()["code"], "appointments.payment_refused");
    let expected: Vec<String> = IN_ORDER
        .iter()
        .map(ToString::to_string)
        .chain(["hospital DELETE /reservations/r-1".to_owned()])
        .collect();
    assert_eq!(world.journal(), expected, "nobody is informed");
}

#[tokio::test]
async fn no_payment_service_at_all_gives_the_reservation_back() {
    let mut world = World::new();
    world.standby = Backend::replying(Reply::status(503));
    let (_gateway, url) = world.gateway(&refused_url());
    let answer = book(&url, &request("Abner Jones", "1234")).await;
    assert!((502..=504).contains(&answer.status), "{}", answer.text());
    assert_eq!(
        world.journal().last().map(String::as_str),
        Some("hospital DELETE /reservations/r-1")
    );
}

#[tokio::test]
async fn what_cannot_be_booked_is_refused_before_anything_happens() {
    let world = World::new();
    let (_gateway, url) = world.gateway(&world.payments.url());
    let unknown = book(&url, &request("Nobody", "1234"))
        .await
        .expect_status(404)
        .json();
    assert_eq!(
        unknown["detail"],
        "There is no surgery doctor Nobody at Clemency."
    );
    assert_eq!(world.journal(), ["hospital GET /doctors"]);

    let mut elsewhere = request("Abner Jones", "1234");
    elsewhere["hospital"] = json!("Nowhere");
    let unknown = book(&url, &elsewhere).await.expect_status(422).json();
    assert_eq!(unknown["code"], "appointments.unknown_hospital");

    let invalid = book(&url, &request("Abner Jones", "12"))
        .await
        .expect_status(400)
        .json();
    assert_eq!(invalid["code"], "client.validation");
    assert_eq!(invalid["details"][0]["pointer"], "/patient/card", "{invalid}");
    assert_eq!(world.journal().len(), 1, "the hospital was not asked again");
}
