//! What can be seen and changed while the gateway runs: `--watch`, `--trace`, TLS, HTTP/2, the access log.

use http_body_util::Empty;
use mediary_tests::{
    Backend, Client, Gateway, Project, Running, certificates, eventually_within, get, mediary_command, post,
};
use serde_json::json;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(20);

fn project(text: &str) -> String {
    format!(
        "apis:\n  a:\n    context: /a\n    routes:\n      GET /{{id}}:\n        - set: {{ vars.secret_free: \"${{params.id}}\" }}\n        - payload: {{ text: \"{text} ${{vars.secret_free}}\" }}\n        - respond\n"
    )
}

/// Starts `mediary run` with this option; gives the process and the URL of its listener `http`.
fn start(project: &Project, option: &str) -> (Running, String) {
    let mut command = mediary_command();
    command.arg("run").arg(project.folder()).arg(option);
    command.args([
        "--set",
        "settings.listeners.http.port=0",
        "--set",
        "settings.management.port=0",
    ]);
    let mut process = Running::start(command);
    let listening = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("listening http "));
        line.filter(|_| text.lines().any(|line| line == "ready"))
            .map(str::to_owned)
    };
    let url = process.wait_for_stdout(WAIT, listening);
    let url = url.unwrap_or_else(|| panic!("it does not start: {}", process.stderr()));
    (process, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_served_without_a_signal() {
    let project_folder = Project::from(project("before").as_str());
    let (mut process, url) = start(&project_folder, "--watch");
    assert_eq!(
        get(&format!("{url}/a/7")).await.expect_status(200).text(),
        "before 7"
    );
    project_folder.write("mediary.yaml", project("after"));
    let started = Instant::now();
    while get(&format!("{url}/a/7")).await.text() != "after 7" {
        assert!(
            started.elapsed() < WAIT,
            "the change is not served: {}",
            process.stderr()
        );
    }
    project_folder.write("mediary.yaml", "apis: { a: { contxt: /a } }\n");
    let refused = process.wait_for_stderr(WAIT, |text| text.contains("contxt").then_some(()));
    assert!(refused.is_some(), "{}", process.stderr());
    assert_eq!(
        get(&format!("{url}/a/7")).await.expect_status(200).text(),
        "after 7"
    );
}

/// Messages come and go below the project's folder all the time, in files and stores.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_messages_are_no_changes_of_the_project() {
    let files = "proxies: { p: { from: { file: { folder: data/in, every: 20ms, after: delete } }, steps: [ { store: kept } ] } }\nstores: { kept: { durable: {} } }\n";
    let project_folder = Project::files(&[
        ("mediary.yaml", &(project("before") + files)),
        ("data/in/.keep", ""),
    ]);
    let (mut process, url) = start(&project_folder, "--watch");
    for number in 0..20 {
        let path = project_folder.folder().join(format!("data/in/{number}.txt"));
        std::fs::write(&path, "x").unwrap();
        eventually_within(WAIT, "the pick-up", || !path.exists());
    }
    project_folder.write("mediary.yaml", project("after") + files);
    let started = Instant::now();
    while get(&format!("{url}/a/7")).await.text() != "after 7" {
        assert!(started.elapsed() < WAIT, "{}", process.stderr());
    }
    let reloads = process.wait_for_stderr(WAIT, |text| {
        let count = text.matches("\"reloaded\"").count();
        (count > 0).then_some(count)
    });
    assert_eq!(reloads, Some(1), "{}", process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_each_step_and_what_it_changed() {
    let project_folder = Project::from(project("hello").as_str());
    let (mut process, url) = start(&project_folder, "--trace");
    get(&format!("{url}/a/7")).await.expect_status(200);
    let trace = process.wait_for_stderr(WAIT, |text| text.contains("respond").then(|| text.to_owned()));
    let trace = trace.unwrap_or_else(|| panic!("no trace: {}", process.stderr()));
    for part in [
        "GET /a/7 -> 200",
        "vars.secret_free set",
        "payload empty -> changed",
        "ms",
    ] {
        assert!(trace.contains(part), "{part} is missing:\n{trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_http_2_are_served_beside_plain_http() {
    let certificates = certificates();
    let folder = Project::from(project("secure").as_str());
    certificates.write_to(folder.folder());
    folder.write(
        "listeners.yaml",
        "settings:\n  listeners:\n    http: { port: 8290 }\n    https: { port: 8253, tls: { certificate: server.pem, key: server.key } }\n",
    );
    let names: Vec<String> = std::fs::read_dir(folder.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let gateway = Gateway::start(folder, &["settings.listeners.https.port=0"]);
    let url = gateway.url("https").replace("127.0.0.1", "localhost");
    let request = |url: &str| {
        hyper::Request::get(format!("{url}/a/7"))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap()
    };
    let over_tls = Client::new()
        .tls(certificates.client_config())
        .send(request(&url))
        .await;
    let over_tls = over_tls.unwrap_or_else(|error| panic!("{error:?} {names:?}"));
    assert_eq!((over_tls.status, over_tls.text()), (200, "secure 7".to_owned()));
    let h2 = Client::new()
        .http2()
        .send(request(gateway.url("http")))
        .await
        .expect("h2c is served");
    assert_eq!(
        (h2.version, h2.text()),
        (hyper::Version::HTTP_2, "secure 7".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_a_line_for_each_exchange() {
    let mut gateway = Gateway::start(project("logged").as_str(), &["settings.access_log=true"]);
    get(&format!("{}/a/7", gateway.url("http")))
        .await
        .expect_status(200);
    gateway.wait_for_log("\"target\":\"access\"");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("\"access\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    assert_eq!(
        (&line["route"], &line["status"], &line["path"]),
        (&json!("GET /a/{id}"), &json!(200), &json!("/a/7"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_completes_goes_on_when_its_time_is_up() {
    let backend = Backend::echo();
    let project = format!(
        "apis:\n  a:\n    context: /a\n    routes:\n      POST /:\n        - aggregate: {{ count: 5, timeout: 300ms }}\n        - call: {}\n        - respond\n",
        backend.url()
    );
    let gateway = Gateway::start(project.as_str(), &[]);
    for body in ["1", "2"] {
        post(&format!("{}/a", gateway.url("http")), "application/json", body)
            .await
            .expect_status(202);
    }
    assert_eq!(backend.wait_for_requests(1)[0].json(), json!([1, 2]));
}
