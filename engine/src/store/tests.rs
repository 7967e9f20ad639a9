//! Stores through YAML: order, limits, leases, and what a crash leaves.

use super::*;
use crate::registry::Registry;
use crate::testing::deployment_in;
use std::path::Path;
use std::time::Instant;

const REGISTRY: Registry = Registry {
    mediators: &[],
    transports: &[],
    formats: &[],
};

/// The store `s`, open.
async fn store(folder: &Path, settings: &str) -> Arc<dyn Store> {
    let yaml = format!("stores:\n  dead: {{ memory: {{}} }}\n  s: {{ {settings} }}\n");
    let deployment = deployment_in(REGISTRY, &yaml, folder).unwrap_or_else(|problems| panic!("{problems}"));
    for store in deployment.stores.values() {
        store.open().await.unwrap();
    }
    Arc::clone(&deployment.stores["s"])
}

fn message(id: &str, key: Option<&str>) -> StoredMessage {
    StoredMessage {
        id: id.to_owned(),
        key: key.map(str::to_owned),
        stored_at: jiff::Timestamp::now().as_millisecond(),
        body: Bytes::from(format!("body of {id}")),
        ..StoredMessage::default()
    }
}

fn ids(messages: &[StoredMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.id.as_str()).collect()
}

/// What both kinds of store promise.
async fn keeps_order_and_leases(store: &dyn Store) {
    for (id, key) in [
        ("a1", Some("a")),
        ("a2", Some("a")),
        ("b1", Some("b")),
        ("x", None),
    ] {
        store.put(message(id, key)).await.unwrap();
    }
    let first = store.take(10).await.unwrap();
    assert_eq!(ids(&first), ["a1", "b1", "x"], "one of each key");
    assert_eq!(first[0].body, "body of a1");
    assert_eq!(store.state("a1").unwrap().stage, Stage::Processing);
    assert_eq!(store.state("a2").unwrap().stage, Stage::Waiting);
    let retry = Settlement::Retry {
        pause: Duration::from_millis(500),
        counted: true,
    };
    store.settle("a1", retry).await.unwrap();
    store.settle("b1", Settlement::Done).await.unwrap();
    store.release("x");
    assert_eq!(ids(&store.take(10).await.unwrap()), ["x"], "given back");
    let again = store.take(10).await.unwrap();
    assert_eq!(
        (ids(&again), again[0].attempts),
        (vec!["a1"], 1),
        "after its pause"
    );
    store.settle("a1", Settlement::Failed).await.unwrap();
    assert_eq!(ids(&store.take(10).await.unwrap()), ["a2"], "the next of the key");
    assert_eq!(store.state("b1").unwrap().stage, Stage::Done);
    assert_eq!(store.state("a1").unwrap().stage, Stage::Failed);
    assert_eq!(store.state("unknown"), None);
    assert_eq!(ids(&store.list(Some("a2"), 10).await.unwrap()), ["x"]);
    assert!(store.remove("x").await.unwrap());
    assert!(!store.remove("x").await.unwrap());
    assert_eq!(store.fill().unwrap().messages, 1);
    assert!(store.get("a2").await.unwrap().is_some());
}

#[tokio::test]
async fn several_messages_are_removed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for settings in ["memory: {}", "durable: {}"] {
        let store = store(folder.path(), settings).await;
        for id in ["a", "b", "c"] {
            store.put(message(id, None)).await.unwrap();
        }
        let several = ["a", "unknown", "c"].map(str::to_owned);
        assert_eq!(store.remove_all(&several).await.unwrap(), 2);
        assert_eq!(ids(&store.list(None, 9).await.unwrap()), ["b"]);
    }
}

#[tokio::test]
async fn messages_keep_their_order_and_leases_end() {
    let folder = tempfile::tempdir().unwrap();
    keeps_order_and_leases(&*store(folder.path(), "memory: {}").await).await;
    keeps_order_and_leases(&*store(folder.path(), "durable: {}").await).await;
    assert!(folder.path().join("data/s.redb").exists());
}

#[tokio::test]
async fn an_id_that_is_there_is_refused_and_the_message_stays() {
    let folder = tempfile::tempdir().unwrap();
    for settings in ["memory: {}", "durable: {}"] {
        let store = store(folder.path(), settings).await;
        let mut first = message("chosen", None);
        first.body = Bytes::from_static(b"first");
        store.put(first).await.unwrap();
        let fault = store.put(message("chosen", Some("k"))).await.unwrap_err();
        assert_eq!(fault.code(), FaultCode::StoredAlready, "{fault}");
        let there = store.list(None, 10).await.unwrap();
        assert_eq!((there.len(), &*there[0].body), (1, &b"first"[..]));
        assert_eq!(store.fill().unwrap().messages, 1);
        let at_once = (0..20).map(|_| store.put(message("raced", None)));
        let outcomes = futures_util::future::join_all(at_once).await;
        let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(stored, 1, "{outcomes:?}");
        assert_eq!(store.fill().unwrap().messages, 2);
        assert!(store.remove("chosen").await.unwrap());
        store.put(message("chosen", None)).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_delivered_by_a_replay_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let durable = store(folder.path(), "durable: {}").await;
    for store in [&durable, &store(folder.path(), "memory: {}").await] {
        store.put(message("1", None)).await.unwrap();
        store.take(1).await.unwrap();
        store.settle("1", Settlement::Failed).await.unwrap();
        let state = |stage| Some(MessageState { stage, attempts: 1 });
        assert_eq!(
            store.state("1"),
            state(Stage::Failed),
            "the attempt that it failed with counts"
        );
        store.delivered_after_all("1");
        store.delivered_after_all("unknown");
        assert_eq!(store.state("1"), state(Stage::Done));
        assert_eq!(store.state("unknown"), None);
        // What was to be written before this is on the disk with it.
        store.put(message("2", None)).await.unwrap();
        store.delivered_after_all("2");
        assert_eq!(store.state("2").unwrap().stage, Stage::Waiting);
    }
    drop(durable);
    let again = store(folder.path(), "durable: {}").await;
    assert_eq!(again.state("1").unwrap().stage, Stage::Done);
}

#[tokio::test]
async fn a_full_store_refuses_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    for settings in ["memory: { messages_max: 1 }", "durable: { messages_max: 1 }"] {
        let store = store(folder.path(), settings).await;
        store.put(message("1", None)).await.unwrap();
        let fault = store.put(message("2", None)).await.unwrap_err();
        assert_eq!(fault.name(), "gateway.store");
        assert!(fault.detail().unwrap().contains("full"), "{fault}");
        store.take(1).await.unwrap();
        store.settle("1", Settlement::Done).await.unwrap();
        store.put(message("2", None)).await.unwrap();
    }
    let small = store(folder.path(), "memory: { bytes_max: 600B }").await;
    small.put(message("1", None)).await.unwrap();
    assert!(small.put(message("2", None)).await.is_err());
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path(), "durable: {}").await;
    for id in ["1", "2", "3"] {
        first.put(message(id, Some("k"))).await.unwrap();
    }
    first.take(1).await.unwrap();
    let pause = Duration::from_secs(3600);
    first
        .settle("1", Settlement::Retry { pause, counted: true })
        .await
        .unwrap();
    assert!(first.remove("2").await.unwrap());
    drop(first);
    let second = store(folder.path(), "durable: {}").await;
    let taken = second.take(10).await.unwrap();
    assert_eq!(
        (ids(&taken), taken[0].attempts),
        (vec!["1"], 1),
        "the pause has ended, the count stays"
    );
    assert_eq!(taken[0].body, "body of 1");
    assert_eq!(ids(&second.list(None, 10).await.unwrap()), ["1", "3"]);
}

/// Copies of the file at any time are what a crash leaves. Each has all that was acknowledged before it was copied.
#[tokio::test]
async fn a_crash_at_any_time_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let original = store(folder.path(), "durable: {}").await;
    let acknowledged = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writer = {
        let (store, count) = (Arc::clone(&original), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for number in 0..40 {
                store.put(message(&format!("{number:04}"), None)).await.unwrap();
                count.store(number + 1, std::sync::atomic::Ordering::SeqCst);
            }
        })
    };
    let mut crashes = 0;
    while !writer.is_finished() || crashes == 0 {
        tokio::task::yield_now().await;
        let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
        let crash = tempfile::tempdir().unwrap();
        std::fs::create_dir(crash.path().join("data")).unwrap();
        std::fs::copy(
            folder.path().join("data/s.redb"),
            crash.path().join("data/s.redb"),
        )
        .unwrap();
        let after = store(crash.path(), "durable: {}").await;
        let found = after.list(None, 1000).await.unwrap();
        assert!(found.len() >= before, "{} of {before}", found.len());
        let expected: Vec<String> = (0..found.len()).map(|number| format!("{number:04}")).collect();
        assert_eq!(ids(&found), expected);
        crashes += 1;
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn messages_that_are_too_old_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "stores:\n  dead: { memory: {} }\n  s: { durable: { age_max: 50ms, expired: dead } }\n";
    let deployment = deployment_in(REGISTRY, yaml, folder.path()).unwrap_or_else(|text| panic!("{text}"));
    let (store, dead) = (&deployment.stores["s"], &deployment.stores["dead"]);
    store.open().await.unwrap();
    // One that was moved already when a crash came before its removal.
    dead.put(message("old", None)).await.unwrap();
    store.put(message("old", None)).await.unwrap();
    for number in 0..250 {
        store.put(message(&format!("more {number}"), None)).await.unwrap();
    }
    let moved = tokio::time::timeout(Duration::from_secs(20), dead.take(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ids(&moved), ["old"]);
    let empty = async {
        while store.fill() != Some(Fill::default()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), empty)
        .await
        .expect("all are moved");
    assert_eq!(dead.fill().unwrap().messages, 251);
    assert_eq!(store.state("old").unwrap().stage, Stage::Failed);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no.redb"), "this is text").unwrap();
    let yaml = "stores:\n  s: { durable: { path: no.redb } }\n";
    let deployment = deployment_in(REGISTRY, yaml, folder.path()).unwrap_or_else(|text| panic!("{text}"));
    let fault = deployment.stores["s"].open().await.unwrap_err();
    assert_eq!(fault.name(), "gateway.store");
    assert!(fault.detail().unwrap().contains("no.redb"), "{fault}");
    let first = store(folder.path(), "durable: {}").await;
    let other = deployment_in(REGISTRY, "stores: { s: { durable: {} } }", folder.path());
    let other = other.unwrap_or_else(|text| panic!("{text}"));
    let fault = other.stores["s"].open().await.unwrap_err();
    assert!(fault.detail().unwrap().contains("another process"), "{fault}");
    drop(first);
}

/// Not a promise, a number to look at: `cargo test --release -- --nocapture group_commit`.
#[tokio::test]
async fn group_commit_makes_one_write_of_many() {
    const MESSAGES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "durable: {}").await;
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..250 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0..MESSAGES / 250 {
                let mut message = message(&format!("{task}-{number}"), None);
                message.body = Bytes::from(vec![b'x'; 1024]);
                store.put(message).await.unwrap();
            }
        });
    }
    let mut settled = 0;
    while settled < MESSAGES {
        for message in store.take(64).await.unwrap() {
            store.settle(&message.id, Settlement::Done).await.unwrap();
            settled += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{MESSAGES} messages stored, taken and removed in {seconds:.2} s: {:.0}/s",
        MESSAGES as f64 / seconds
    );
    drop(tasks.join_all().await);
    assert_eq!(store.fill().unwrap(), Fill::default());
}

/// The bytes of the store's file.
fn file(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("data/s.redb")).unwrap()
}

/// A power cut in the middle of a commit leaves some of its sectors written and others not. Whichever: the file has the messages from
/// before the commit or those from after it.
#[tokio::test]
async fn a_torn_commit_is_all_or_nothing() {
    const SECTOR: usize = 512;
    let folder = tempfile::tempdir().unwrap();
    let original = store(folder.path(), "durable: {}").await;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut outcomes = [0, 0];
    for round in 0..30 {
        for number in 0..round {
            original
                .put(message(&format!("{round}-{number}"), Some("k")))
                .await
                .unwrap();
        }
        let before = original.list(None, 1000).await.unwrap();
        let (old, mut after) = (file(folder.path()), before.clone());
        if round % 3 == 2 {
            assert!(original.remove(&after.remove(round).id).await.unwrap());
        } else {
            let mut large = message(&format!("{round}-torn"), None);
            large.body = Bytes::from(vec![b'x'; 20_000]);
            original.put(large.clone()).await.unwrap();
            after.push(large);
        }
        let mut torn = file(folder.path());
        for at in (0..torn.len().min(old.len())).step_by(SECTOR) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // From all written to nearly nothing written.
            if random % 45 < round as u64 {
                let end = (at + SECTOR).min(old.len()).min(torn.len());
                torn[at..end].copy_from_slice(&old[at..end]);
            }
        }
        let crash = tempfile::tempdir().unwrap();
        std::fs::create_dir(crash.path().join("data")).unwrap();
        std::fs::write(crash.path().join("data/s.redb"), torn).unwrap();
        let found = store(crash.path(), "durable: {}")
            .await
            .list(None, 1000)
            .await
            .unwrap();
        let (found, before, after) = (ids(&found), ids(&before), ids(&after));
        assert!(found == before || found == after, "{found:?}");
        outcomes[usize::from(found == after)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[tokio::test]
async fn how_messages_ended_is_known_after_a_restart_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "durable: { finished_max: 5 }";
    let first = store(folder.path(), settings).await;
    for number in 0..20 {
        first.put(message(&number.to_string(), None)).await.unwrap();
        first.take(1).await.unwrap();
        let how = if number % 2 == 0 {
            Settlement::Done
        } else {
            Settlement::Failed
        };
        first.settle(&number.to_string(), how).await.unwrap();
    }
    drop(first);
    let second = store(folder.path(), settings).await;
    assert_eq!(second.state("18").unwrap().stage, Stage::Done);
    assert_eq!(second.state("19").unwrap().stage, Stage::Failed);
    assert_eq!(
        (second.state("14"), second.state("0")),
        (None, None),
        "only the last five"
    );
    drop(second);
    let brief = store(folder.path(), "durable: { finished_age_max: 1ms }").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(brief.state("19"), None);
}

#[tokio::test]
async fn the_place_of_a_stream_is_kept_with_the_settlement() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path(), "durable: {}").await;
    for (id, number) in [("1", 7), ("2", 8)] {
        first.put(message(id, Some("k"))).await.unwrap();
        assert_eq!(ids(&first.take_unordered(1).await.unwrap()), [id]);
        let place = Place {
            stream: "p/a",
            number,
        };
        first.settle_at(id, Settlement::Done, place).await.unwrap();
    }
    drop(first);
    let second = store(folder.path(), "durable: {}").await;
    assert_eq!((second.place("p/a"), second.place("p/b")), (Some(8), None));
    for id in ["a", "b", "c"] {
        second.put(message(id, Some("k"))).await.unwrap();
    }
    assert_eq!(
        ids(&second.take_unordered(2).await.unwrap()),
        ["a", "b"],
        "whatever their key"
    );
    second.release("a");
    second.release("b");
    assert_eq!(
        ids(&second.take(10).await.unwrap()),
        ["a"],
        "the first of the key"
    );
}

#[tokio::test]
async fn two_stores_in_one_place_are_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let linked = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &linked).unwrap();
    let told = |second: &str| {
        let yaml = format!(
            "stores:\n  a: {{ durable: {{ path: data/x.redb }} }}\n  b: {{ durable: {{ path: {second} }} }}\n"
        );
        deployment_in(REGISTRY, &yaml, folder.path())
            .err()
            .unwrap_or_default()
    };
    // Before the folder is there, and after.
    for _ in 0..2 {
        for second in ["data/x.redb", "data/../data/x.redb", "link/data/x.redb"] {
            let told = told(second);
            for part in [
                "config.duplicate_store",
                "the stores `a` and `b`",
                "data/x.redb",
                "`a` is here",
            ] {
                assert!(told.contains(part), "{part} is not in {told}");
            }
        }
        assert_eq!(told("data/y.redb"), "");
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
    }
}

#[tokio::test]
async fn mistakes_of_a_processor_are_told() {
    for (processor, problem) in [
        (
            "resequence: { by: 1, to: 'x:y' }, forward: { to: 'x:y' }",
            "does exactly one of",
        ),
        ("resequence: { by: headers.n }", "does exactly one of"),
        (
            "resequence: { by: headers.n, late: dead_letter, to: e }",
            "`late: dead_letter` needs a store",
        ),
    ] {
        let yaml =
            format!("stores: {{ s: {{ memory: {{}} }} }}\nprocessors:\n  p: {{ store: s, {processor} }}\n");
        let told = deployment_in(REGISTRY, &yaml, Path::new(".")).err().unwrap();
        assert!(told.contains(problem), "{told}");
    }
}
