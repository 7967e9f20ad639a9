//! `order-files` between OpenSSH's sshd, vsftpd with TLS, RabbitMQ and a customer application, each of which goes away once.

use super::folder;
use mediary_tests::{
    AmqpReceived, Backend, Gateway, RabbitMq, Recorded, Reply, Sshd, Vhost, Vsftpd, certificates,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(40);

const FILE: &str = "order,customer,article,quantity\n1001,C1,lamp,2\n1002,C2,\"chair, red\",4\n1003,C1,,none\n1004,C7,lamp,1\n";
const REJECTS: &str = "order,customer,article,quantity,reason\r\n\
    1003,C1,,none,\"the article is missing, the quantity is not from 1 to 9999\"\r\n\
    1004,C7,lamp,1,there is no such customer\r\n";

/// All that the sample talks to. The queue `orders` is there, and only the test reads it.
struct World {
    shop: Sshd,
    office: Vsftpd,
    customers: Backend,
    customers_up: Arc<AtomicBool>,
    vhost: Vhost,
    gateway: Gateway,
}

fn customer(request: &Recorded) -> Reply {
    match request.path.as_str() {
        "/C1" => Reply::json(&json!({"id": "C1", "name": "Ann"})),
        "/C2" => Reply::json(&json!({"id": "C2", "name": "Ben"})),
        _ => Reply::status(404),
    }
}

impl World {
    fn new(rabbit: &RabbitMq) -> Self {
        let certificates = certificates();
        let (shop, office) = (Sshd::start_new(), Vsftpd::explicit_tls(&certificates));
        let authority = office.root().join("../authority.pem");
        std::fs::write(&authority, &certificates.authority).unwrap();
        shop.client().make_folder("orders");
        let customers_up = Arc::new(AtomicBool::new(true));
        let up = Arc::clone(&customers_up);
        let customers = Backend::start(move |request| match up.load(Ordering::Relaxed) {
            true => customer(request),
            false => Reply::status(503),
        });
        let vhost = rabbit.vhost();
        vhost.client().declare("orders");
        let sets = [
            format!("connections.shop.sftp.port={}", shop.port()),
            format!("connections.shop.sftp.user={}", shop.user()),
            format!("connections.shop.sftp.key={}", shop.client_key().display()),
            format!("connections.shop.sftp.host_key={}", shop.host_key()),
            format!("connections.office.ftp.port={}", office.port()),
            format!("connections.office.ftp.user={}", office.user()),
            format!("connections.office.ftp.password={}", office.password()),
            format!("connections.office.ftp.ca={}", authority.display()),
            format!("connections.rabbit.amqp={}", vhost.amqp_url()),
            format!("endpoints.customers.http={}", customers.url()),
            "proxies.warehouse.from.amqp.queue=unused".to_owned(),
            "proxies.order_files.from.sftp.stable_for=200ms".to_owned(),
            "proxies.order_files.from.sftp.retry.backoff=200ms".to_owned(),
            "settings.listeners.backend.port=0".to_owned(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let gateway = Gateway::start(folder("order-files").as_path(), &sets);
        Self {
            shop,
            office,
            customers,
            customers_up,
            vhost,
            gateway,
        }
    }

    /// The orders in the queue, by their number.
    fn orders(&self, count: usize) -> Vec<AmqpReceived> {
        let mut orders = self.vhost.client().consume("orders", count, WAIT);
        orders.sort_by_key(AmqpReceived::text);
        orders
    }

    /// Waits until the file is settled, and says which files lie in `folder` then.
    fn settled(&self, folder: &str) -> Vec<String> {
        let settled = self.shop.root().join("orders").join(folder);
        let started = Instant::now();
        while std::fs::read_dir(&settled).map_or(0, Iterator::count) == 0 {
            let log = self.gateway.log();
            assert!(started.elapsed() < WAIT, "nothing came to {folder}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.shop.client().list(&format!("orders/{folder}"))
    }

    /// Everything is where it belongs, and nothing came twice.
    fn expect_all(&self, name: &str) {
        let orders = self.orders(2);
        assert_eq!(orders.len(), 2, "{}", self.gateway.log());
        let bodies: Vec<Value> = orders
            .iter()
            .map(|order| serde_json::from_slice(&order.body).unwrap())
            .collect();
        let first = json!({"order": "1001", "article": "lamp", "quantity": 2, "customer": {"id": "C1", "name": "Ann"}});
        let second = json!({"order": "1002", "article": "chair, red", "quantity": 4, "customer": {"id": "C2", "name": "Ben"}});
        assert_eq!(bodies, [first, second]);
        assert_eq!(orders[0].properties["message_id"], "1001");
        assert_eq!(orders[0].properties["content_type"], "application/json");
        assert_eq!(orders[0].properties["delivery_mode"], 2);
        assert_eq!(self.settled("done"), [name]);
        let rejects = self.office.client().get(&format!("rejects/{name}"));
        assert_eq!(String::from_utf8_lossy(&rejects), REJECTS);
        assert_eq!(
            self.office.client().list("rejects"),
            [name],
            "no temporary file is left"
        );
        assert_eq!(self.vhost.client().depth("orders"), 0, "nothing comes twice");
    }
}

#[test]
fn good_rows_go_to_the_queue_and_bad_ones_back_with_their_reasons() {
    let world = World::new(RabbitMq::shared());
    world.shop.client().put("orders/monday.csv", FILE);
    world.expect_all("monday.csv");
    let mut asked: Vec<String> = world
        .customers
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    asked.sort();
    assert_eq!(asked, ["/C1", "/C2", "/C7"], "an invalid row is not asked for");

    world
        .shop
        .client()
        .put("orders/empty.csv", "order,customer,article,quantity\n");
    world
        .shop
        .client()
        .put("orders/wrong.csv", "order,customer\n1,2,3\n");
    assert_eq!(world.settled("failed"), ["wrong.csv"]);
    assert_eq!(world.settled("done"), ["empty.csv", "monday.csv"]);
    assert_eq!(world.vhost.client().depth("orders"), 0);
    assert_eq!(world.office.client().list("rejects"), ["monday.csv"]);
}

#[test]
fn a_file_waits_for_the_customer_application_and_for_the_office() {
    let mut world = World::new(RabbitMq::shared());
    world.customers_up.store(false, Ordering::Relaxed);
    world.office.kill();
    world.shop.client().put("orders/tuesday.csv", FILE);
    world.customers.wait_for_requests(4);
    world.gateway.wait_for_log("backend.status");
    world.customers_up.store(true, Ordering::Relaxed);
    world.gateway.wait_for_log("backend.connect");
    assert_eq!(world.vhost.client().depth("orders"), 0, "nothing has left yet");
    world.office.start();
    world.expect_all("tuesday.csv");
}

#[test]
fn a_file_waits_for_the_broker() {
    let rabbit = RabbitMq::own();
    let mut world = World::new(&rabbit);
    rabbit.stop();
    world.gateway.wait_for_log("the listener is down");
    world.shop.client().put("orders/wednesday.csv", FILE);
    world.gateway.wait_for_log("backend.connect");
    rabbit.start();
    world.expect_all("wednesday.csv");
}

#[test]
fn a_file_waits_for_the_shop_that_keeps_it() {
    let mut world = World::new(RabbitMq::shared());
    world.gateway.wait_for_log("proxies.order_files");
    world.shop.client().put("orders/.thursday", FILE);
    world.shop.kill();
    world.gateway.wait_for_log("the listener is down");
    world.shop.start();
    world
        .shop
        .client()
        .rename("orders/.thursday", "orders/thursday.csv");
    world.expect_all("thursday.csv");
}
