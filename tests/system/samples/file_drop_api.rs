//! `file-drop-api` between HTTP clients and a back-office program, which the tests play: what clients see of the folders, what arrives
//! in the outbox and how, and what nobody gets at.

use super::copy;
use mediary_tests::{Answer, Gateway, get, post};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The gateway alone: the program at the other end is the test.
struct Shop {
    gateway: Gateway,
}

impl Shop {
    fn open() -> Self {
        let project = copy("file-drop-api", &["backend.yaml"]);
        let gateway = Gateway::start(project, &[]);
        Self { gateway }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.gateway.project().folder().join("data").join(name)
    }

    async fn get(&self, path: &str) -> Answer {
        get(&format!("{}{path}", self.gateway.url("http"))).await
    }

    async fn order(&self, body: impl Into<bytes::Bytes>) -> Answer {
        let url = format!("{}/orders/v1", self.gateway.url("http"));
        post(&url, "application/json", body.into()).await
    }

    async fn state(&self, location: &str) -> Value {
        self.get(location).await.expect_status(200).json()["state"].clone()
    }

    /// What the back office sees in a folder.
    fn files(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// The back office drops a file as it should: by a hidden name first.
    fn drop_file(&self, name: &str, text: impl AsRef<[u8]>) {
        let hidden = self.path("inbox").join(format!(".{name}"));
        fs::write(&hidden, text).unwrap();
        fs::rename(hidden, self.path("inbox").join(name)).unwrap();
    }

    /// The back office has dealt with an order.
    fn move_order(&self, file: &str, to: &str) {
        fs::create_dir_all(self.path(to)).unwrap();
        fs::rename(self.path("outbox").join(file), self.path(to).join(file)).unwrap();
    }
}

fn order(customer: &str, sku: &str, quantity: u32) -> String {
    json!({"customer": customer, "lines": [{"sku": sku, "quantity": quantity}]}).to_string()
}

#[tokio::test]
async fn files_appear_are_read_and_asked_for_rows() {
    let shop = Shop::open();
    let rows: String = (0..1000)
        .map(|row| {
            format!(
                "S-{row},\"Shelf, {}\",{}\n",
                row % 7,
                if row % 4 == 0 { "Wien" } else { "Graz" }
            )
        })
        .collect();
    shop.drop_file("stock.csv", format!("sku,name,warehouse\n{rows}"));
    shop.drop_file("notes.txt", "not for clients");
    let list = shop.get("/files/v1").await.expect_status(200).json();
    let names: Vec<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["prices-2026-11.csv", "stock-2026-11-20.csv", "stock.csv"]);
    assert_eq!(list["total"], 3);
    assert_eq!(list["items"][0]["size"], 68);
    assert!(
        list["items"][0]["modified"].as_str().unwrap().ends_with('Z'),
        "{list}"
    );

    let file = shop.get("/files/v1/stock.csv").await.expect_status(200).json();
    assert_eq!(file["rows"].as_array().unwrap().len(), 1000);
    assert_eq!(
        file["rows"][8],
        json!({"sku": "S-8", "name": "Shelf, 1", "warehouse": "Wien"})
    );

    let page = shop
        .get("/files/v1/stock.csv/rows?warehouse=Wien&offset=100")
        .await
        .expect_status(200)
        .json();
    assert_eq!((&page["total"], &page["offset"]), (&json!(250), &json!(100)));
    let items = page["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["sku"]),
        (50, &json!("S-400")),
        "50 rows where nobody says how many"
    );
    let both = shop
        .get("/files/v1/stock.csv/rows?warehouse=Wien&name=Shelf,%206&limit=500")
        .await
        .json();
    assert_eq!(
        both["total"],
        (0..1000).filter(|row| row % 4 == 0 && row % 7 == 6).count()
    );
    let beyond = shop
        .get("/files/v1/stock.csv/rows?offset=5000")
        .await
        .expect_status(200)
        .json();
    assert_eq!(beyond, json!({"total": 1000, "offset": 5000, "items": []}));
}

#[tokio::test]
async fn a_file_without_rows_is_an_empty_list() {
    let shop = Shop::open();
    shop.drop_file("none.csv", "sku,name\n");
    let rows = shop
        .get("/files/v1/none.csv/rows")
        .await
        .expect_status(200)
        .json();
    assert_eq!(rows, json!({"total": 0, "offset": 0, "items": []}));
}

#[tokio::test]
async fn a_broken_file_is_not_the_client_s_fault() {
    let shop = Shop::open();
    shop.drop_file("broken.csv", "sku,name\nA-1\n");
    let answer = shop.get("/files/v1/broken.csv").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["code"], "backend.bad_reply");
}

#[tokio::test]
async fn an_order_is_accepted_then_done_or_failed() {
    let shop = Shop::open();
    let good = shop.order(order("AT-7", "A-100", 2)).await.expect_status(202);
    let bad = shop
        .order(order("AT-8", "=1+1,\"x\"", 1))
        .await
        .expect_status(202);
    let (good, bad) = (
        good.header("location").to_owned(),
        bad.header("location").to_owned(),
    );
    let file = |location: &str| format!("{}.csv", location.rsplit('/').next().unwrap());
    assert_eq!(shop.files("outbox"), BTreeSet::from([file(&good), file(&bad)]));
    for location in [&good, &bad] {
        assert_eq!(shop.state(location).await, "accepted");
    }
    let id = good.rsplit('/').next().unwrap();
    let csv = fs::read_to_string(shop.path("outbox").join(file(&good))).unwrap();
    assert_eq!(
        csv.replace("\r\n", "\n"),
        format!("order,customer,sku,quantity\n{id},AT-7,A-100,2\n")
    );
    let csv = fs::read_to_string(shop.path("outbox").join(file(&bad))).unwrap();
    assert!(
        csv.contains(r#","=1+1,""x""","#),
        "a value stays one value: {csv}"
    );
    let kept: Value =
        serde_json::from_slice(&fs::read(shop.path("submitted").join(format!("{id}.json"))).unwrap())
            .unwrap();
    assert_eq!(kept["customer"], "AT-7");

    shop.move_order(&file(&good), "done");
    shop.move_order(&file(&bad), "failed");
    assert_eq!(shop.state(&good).await, "done");
    assert_eq!(shop.state(&bad).await, "failed");
    let project = shop.gateway.kill();
    let shop = Shop {
        gateway: Gateway::start(project, &[]),
    };
    assert_eq!(shop.state(&good).await, "done", "a restart forgets nothing");
    assert_eq!(shop.state(&bad).await, "failed");
}

/// A back office that looks at its outbox all the time takes each order whole, and each once.
#[tokio::test]
async fn the_outbox_never_shows_half_an_order() {
    let shop = Shop::open();
    let (outbox, done) = (shop.path("outbox"), shop.path("done"));
    fs::create_dir_all(&outbox).unwrap();
    fs::create_dir_all(&done).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let last_look = Arc::clone(&ended);
    let program = std::thread::spawn(move || {
        let mut taken = Vec::new();
        loop {
            let last = last_look.load(Ordering::SeqCst);
            for entry in fs::read_dir(&outbox).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.starts_with('.') {
                    continue;
                }
                let text = fs::read_to_string(outbox.join(&name)).unwrap();
                taken.push((
                    text.lines().count(),
                    text.lines().last().unwrap_or_default().ends_with(",sku-99,100"),
                ));
                fs::rename(outbox.join(&name), done.join(&name)).unwrap();
            }
            if last {
                return taken;
            }
        }
    });
    let lines: Vec<Value> = (0..100)
        .map(|line| json!({"sku": format!("sku-{line}"), "quantity": line + 1}))
        .collect();
    let body = json!({"customer": "AT-7", "lines": lines}).to_string();
    let url = format!("{}/orders/v1", shop.gateway.url("http"));
    let orders: Vec<_> = (0..60)
        .map(|_| {
            let (url, body) = (url.clone(), body.clone());
            tokio::spawn(async move { post(&url, "application/json", body).await })
        })
        .collect();
    let mut locations = BTreeSet::new();
    for answer in orders {
        let answer = answer.await.unwrap().expect_status(202);
        locations.insert(answer.header("location").to_owned());
    }
    ended.store(true, Ordering::SeqCst);
    let taken = program.join().unwrap();
    assert_eq!((locations.len(), taken.len()), (60, 60));
    assert!(taken.iter().all(|order| *order == (101, true)), "{taken:?}");
    for location in locations {
        assert_eq!(shop.state(&location).await, "done");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_told_and_nothing_is_written() {
    let shop = Shop::open();
    let wrong = json!({"customer": 7, "lines": [{"sku": "", "quantity": 1}, {"sku": "A", "quantity": "2", "price": 1}]});
    let problem = shop.order(wrong.to_string()).await.expect_status(400);
    assert_eq!(problem.header("content-type"), "application/problem+json");
    let problem = problem.json();
    assert_eq!(problem["code"], "client.validation");
    let pointers: BTreeSet<&str> = problem["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        BTreeSet::from(["/customer", "/lines/0/sku", "/lines/1", "/lines/1/quantity"])
    );

    let problem = shop
        .order(r#"{"customer": "AT-7", "lines": ["#)
        .await
        .expect_status(400)
        .json();
    assert_eq!(problem["code"], "client.malformed_body");
    assert!(
        problem["detail"].as_str().unwrap().contains("line 1, column 32"),
        "{problem}"
    );
    shop.order("").await.expect_status(400);
    assert!(shop.files("outbox").is_empty() && shop.files("submitted").is_empty());
}

#[tokio::test]
async fn nothing_but_the_inbox_can_be_read() {
    let shop = Shop::open();
    fs::write(shop.path("secret.csv"), "secret\nsecret\n").unwrap();
    fs::write(shop.path("inbox").join(".half.csv"), "secret\nsecret\n").unwrap();
    fs::create_dir(shop.path("inbox").join("folder.csv")).unwrap();
    std::os::unix::fs::symlink(shop.path("secret.csv"), shop.path("inbox").join("link.csv")).unwrap();
    for name in [
        "..%2Fsecret.csv",
        "%2e%2e%2fsecret.csv",
        "..%5csecret.csv",
        "%2Fetc%2Fpasswd",
        "../secret.csv",
        "%2e%2e/secret.csv",
        ".half.csv",
        "link.csv",
        "folder.csv",
        "secret.csv",
        "secret.csv%00",
        "%252e%252e%252fsecret.csv",
        &format!("{}.csv", "x".repeat(300)),
    ] {
        for path in [format!("/files/v1/{name}"), format!("/files/v1/{name}/rows")] {
            let answer = shop.get(&path).await;
            assert!(
                matches!(answer.status, 400 | 404),
                "{path}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(!answer.text().contains("\"secret\""), "{path}: {}", answer.text());
        }
    }
    let list = shop.get("/files/v1").await.expect_status(200).json();
    assert_eq!(list["total"], 2, "{list}");
    for id in ["..%2Foutbox%2Fx", "none", "%2e%2e"] {
        let answer = shop.get(&format!("/orders/v1/{id}")).await;
        assert!(matches!(answer.status, 400 | 404), "{id}: {}", answer.status);
    }
}

#[tokio::test]
async fn the_apis_describe_themselves() {
    let shop = Shop::open();
    let document = shop.get("/orders/v1?openapi").await.expect_status(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let body = &document["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["customer", "lines"]));
    let document = shop.get("/files/v1?openapi").await.expect_status(200).json();
    assert!(document["paths"]["/{name}/rows"]["get"].is_object(), "{document}");
}
