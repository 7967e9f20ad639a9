//! The samples do what their pages say: each is checked, run, tested by its own tests, and driven by foreign clients and backends.

mod file_drop_api;
mod http_as_rest;
mod http_as_soap;
mod order_files;
mod queue_bridge;
mod readmes;
mod rest_to_soap;
mod servers;
mod service_gateway;
mod store_and_forward;
mod throttled_backend;

use mediary_tests::{Gateway, Project, mediary, workspace_folder};
use servers::Servers;
use std::path::{Path, PathBuf};

/// All samples, as folders of `samples/`.
const ALL: [&str; 9] = [
    "file-drop-api",
    "http-as-rest",
    "http-as-soap",
    "order-files",
    "queue-bridge",
    "rest-to-soap",
    "service-gateway",
    "store-and-forward",
    "throttled-backend",
];

const FREE_PORTS: [&str; 3] = [
    "settings.listeners.http.port=0",
    "settings.listeners.backend.port=0",
    "settings.management.port=0",
];

fn folder(name: &str) -> PathBuf {
    workspace_folder().join("samples").join(name)
}

/// A sample in a folder of its own, for one that writes beside its definitions.
fn copy(name: &str, without: &[&str]) -> Project {
    fn copy(from: &Path, root: &Path, without: &[&str], to: &Project) {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if path.is_dir() {
                copy(&path, root, without, to);
            } else if !without.contains(&name) {
                to.write(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let project = Project::files(&[]);
    copy(&folder(name), &folder(name), without, &project);
    project
}

/// A sample's gateway with other backends than its own: `endpoints` are pairs of a setting below `endpoints` and its value.
fn start(name: &str, endpoints: &[(&str, &str)]) -> Gateway {
    let moved = endpoints
        .iter()
        .map(|(setting, value)| format!("endpoints.{setting}={value}"));
    let sets: Vec<String> = moved
        .chain(["settings.listeners.backend.port=0".to_owned()])
        .collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    Gateway::start(folder(name).as_path(), &sets)
}

#[test]
fn every_folder_is_a_sample_under_test() {
    let entries = std::fs::read_dir(workspace_folder().join("samples")).unwrap();
    let folders = entries.map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ALL);
    for name in ALL {
        for file in ["README.md", "mediary.yaml", "backend.yaml", "sample.test.yaml"] {
            assert!(folder(name).join(file).is_file(), "{name} has no {file}");
        }
    }
}

#[test]
fn every_sample_is_free_of_problems() {
    for name in ALL {
        let end = mediary(&["check", folder(name).to_str().unwrap()]).expect_success();
        assert!(!end.output().contains("warning"), "{name}: {}", end.output());
    }
}

#[test]
fn every_sample_passes_its_own_tests() {
    for name in ALL {
        let end = mediary(&["test", folder(name).to_str().unwrap()]).expect_success();
        assert!(
            end.stdout.contains("(100 %)"),
            "each step is reached by a test, {name}: {}",
            end.output()
        );
    }
}

#[test]
fn every_sample_runs_from_inside_the_binary() {
    for name in ALL {
        let servers = Servers::start(name);
        let mut arguments = vec!["samples", "run", name, "--once"];
        let sets = servers.sets.iter().map(String::as_str);
        for set in FREE_PORTS.into_iter().chain(sets) {
            arguments.extend(["--set", set]);
        }
        let end = mediary(&arguments).expect_success();
        assert!(
            end.stdout.contains("as expected"),
            "{name} shows its requests and replies: {}",
            end.stdout
        );
    }
}
