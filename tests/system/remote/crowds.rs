//! Many files at once: two gateways on one folder, and a reload in the middle.

use super::outages::{arrivals, drop_files, slow_backend};
use super::{Site, backend, eventually, health};
use mediary_tests::{Gateway, PyFtpd, Sshd, Vsftpd};
use std::time::Duration;

const FILES: usize = 300;
const LISTENER: &str = "every: 50ms, concurrency: 4";

#[track_caller]
fn all_archived(site: &Site) {
    eventually("the archive of all", || site.names("in/.done").len() == FILES);
    let left = site.names("in");
    assert!(left.iter().all(|name| name.starts_with('.')), "{left:?}");
}

async fn two_gateways_take_each_file_once(site: &Site) {
    let backends = [backend(), backend()];
    let start = |number: usize| {
        let backend: &mediary_tests::Backend = &backends[number];
        Gateway::start(
            site.project_with(&backend.url(), LISTENER, "existing: replace"),
            &[],
        )
    };
    let gateways = [start(0), start(1)];
    for gateway in &gateways {
        health(gateway, "up").await;
    }
    drop_files(site, FILES);
    all_archived(site);
    let [mut first, second] = backends.each_ref().map(|backend| arrivals(&backend.requests()));
    assert!(
        !first.is_empty() && !second.is_empty(),
        "both took some: {} and {}",
        first.len(),
        second.len()
    );
    for (name, count) in second {
        *first.entry(name).or_insert(0) += count;
    }
    assert_eq!(first.len(), FILES);
    assert!(first.values().all(|count| *count == 1), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_sftp_folder() {
    let server = Sshd::start_new();
    two_gateways_take_each_file_once(&Site::sshd(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_ftp_folder() {
    let server = PyFtpd::plain();
    two_gateways_take_each_file_once(&Site::py_ftpd(&server, "")).await;
}

/// The listener is replaced twice by one of other settings, while it works.
fn a_reload_loses_and_repeats_nothing(site: &Site) {
    let backend = slow_backend(Duration::from_millis(5));
    let project = |every: &str| {
        let listener = format!("every: {every}, concurrency: 4");
        site.project_with(&backend.url(), &listener, "existing: replace")
    };
    drop_files(site, FILES);
    let mut gateway = Gateway::start(project("50ms"), &[]);
    for (count, every) in [(FILES / 4, "51ms"), (FILES / 2, "52ms")] {
        backend.wait_for_requests(count);
        assert!(backend.requests().len() < FILES, "it is in the middle");
        gateway.project().write("mediary.yaml", project(every));
        gateway.reload();
    }
    gateway.wait_for_log("reload");
    all_archived(site);
    let arrivals = arrivals(&backend.requests());
    assert_eq!(arrivals.len(), FILES);
    assert!(arrivals.values().all(|count| *count == 1), "{arrivals:?}");
}

#[test]
fn a_reload_in_the_middle_of_a_pickup_by_sftp() {
    let server = Sshd::start_new();
    a_reload_loses_and_repeats_nothing(&Site::sshd(&server));
}

#[test]
fn a_reload_in_the_middle_of_a_pickup_by_ftp() {
    let server = Vsftpd::plain();
    a_reload_loses_and_repeats_nothing(&Site::vsftpd(&server, ""));
}
