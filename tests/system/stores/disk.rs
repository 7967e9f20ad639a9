//! What a disk can do to a durable store: be full, and lose what was not written to its end.

use super::{messages_in, order, project, wait_for_fill};
use mediary_tests::{Backend, Gateway, Project, Reply};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with little room: a file system in memory.
struct Small(PathBuf);

impl Small {
    /// `None` where this process may not mount one.
    fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder)
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then(|| Self(folder.to_owned()))
    }

    fn resize(&self, bytes: u64) {
        let size = format!("remount,size={bytes}");
        let status = Command::new("mount").args(["-o", &size]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Small {
    /// Ends the gateway that uses it. Its folder can only be removed after that.
    fn unmount(self, gateway: Gateway) {
        let project = gateway.kill();
        drop(self);
        drop(project);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A mount that stays behind would be a leak of the test run; there is nobody to tell.
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_loses_nothing_and_heals() {
    let backend = Backend::replying(Reply::status(200));
    let yaml = project(&backend.url(), "forward: { to: backend }")
        .replace("  forward: {", "  forward: { timeout: 10s, ");
    let idle = yaml.split("processors:").next().unwrap().to_owned();
    let files = Project::from(idle.as_str());
    let Some(disk) = Small::mount(&files.folder().join("data"), 6 << 20) else {
        return eprintln!("no file system can be mounted here, so that no disk gets full");
    };
    let gateway = Gateway::start(files, &[]);
    let body = "x".repeat(20_000);
    let mut accepted = 0;
    let refused = loop {
        assert!(accepted < 1_000, "the disk never gets full");
        let request = hyper::Request::post(format!("{}/orders", gateway.url("http")))
            .body(http_body_util::Full::<bytes::Bytes>::from(format!(
                "{accepted} {body}"
            )))
            .unwrap();
        let answer = mediary_tests::Client::new().send(request).await.unwrap();
        match answer.status {
            202 => accepted += 1,
            _ => break answer,
        }
    };
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (503, &"gateway.store".into())
    );
    assert!(accepted > 20, "only {accepted} messages before the disk was full");
    assert_eq!(messages_in(&gateway, "orders").await, accepted);
    // Killed on a full disk it starts again, with all that was accepted.
    let gateway = Gateway::start(gateway.kill(), &[]);
    assert_eq!(messages_in(&gateway, "orders").await, accepted);
    disk.resize(32 << 20);
    order(&gateway, "", &format!("{accepted} {body}")).await;
    assert_eq!(messages_in(&gateway, "orders").await, accepted + 1);
    // Delivering removes, also where a full disk makes that wait.
    gateway.project().write("mediary.yaml", &yaml);
    gateway.reload();
    wait_for_fill(&gateway, "orders", 0).await;
    let mut arrived: Vec<u64> = backend
        .requests()
        .iter()
        .map(|request| request.text().split(' ').next().unwrap().parse().unwrap())
        .collect();
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived, (0..=accepted).collect::<Vec<_>>());
    disk.unmount(gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_for_a_while_is_used_again_by_the_same_process() {
    let backend = Backend::replying(Reply::status(200));
    let yaml = project(&backend.url(), "forward: { to: backend }");
    let idle = yaml.split("processors:").next().unwrap().to_owned();
    let files = Project::from(idle.as_str());
    let Some(disk) = Small::mount(&files.folder().join("data"), 6 << 20) else {
        return eprintln!("no file system can be mounted here, so that no disk gets full");
    };
    let mut gateway = Gateway::start(files, &[]);
    // Another file takes all the room.
    let rest = vec![0; 6 << 20];
    let _ = std::fs::write(disk.0.join("other"), &rest);
    let mut accepted = 0;
    for number in 0..400 {
        let request = hyper::Request::post(format!("{}/orders", gateway.url("http")))
            .body(http_body_util::Full::<bytes::Bytes>::from(format!(
                "{number} {}",
                "x".repeat(20_000)
            )))
            .unwrap();
        let answer = mediary_tests::Client::new().send(request).await.unwrap();
        accepted += u64::from(answer.status == 202);
    }
    assert!(accepted < 400, "the disk never was full");
    assert_eq!(messages_in(&gateway, "orders").await, accepted);
    std::fs::remove_file(disk.0.join("other")).unwrap();
    order(&gateway, "", "there is room").await;
    gateway.wait_for_log("a store writes again");
    assert_eq!(messages_in(&gateway, "orders").await, accepted + 1);
    let gateway = Gateway::start(gateway.kill(), &[]);
    assert_eq!(messages_in(&gateway, "orders").await, accepted + 1);
    disk.unmount(gateway);
}
