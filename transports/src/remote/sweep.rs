//! Tidying up on a server: uploads that a dead process did not finish, folders that are empty.
//!
//! How old an unfinished upload is can only be told by the server's clock. So it is compared with the upload that was just made beside
//! it, in the same listing, and no two clocks are.

use super::failure::Failure;
use super::folder::RemoteFolder;
use super::path::is_unfinished;
use super::protocol::{Entry, Protocol};
use super::sessions::on_session;
use crate::files::path::{join, name, parent};
use engine::fault::Fault;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much older than a new one an unfinished upload is that nobody goes on with. A transfer gives up after seconds without progress.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a folder is looked through.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Most folders that are looked through within an interval.
const FOLDERS_MAX: usize = 256;
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// When the folders below a folder were last looked through.
#[derive(Debug, Default)]
pub(super) struct Sweeps(Mutex<HashMap<String, Instant>>);

impl Sweeps {
    /// Whether it is time to look through a folder, which then counts as done.
    fn due(&self, folder: &str) -> bool {
        let mut swept = self.0.lock();
        swept.retain(|_, at| at.elapsed() < INTERVAL);
        if swept.len() >= FOLDERS_MAX || swept.contains_key(folder) {
            return false;
        }
        swept.insert(folder.to_owned(), Instant::now());
        true
    }
}

impl<P: Protocol> RemoteFolder<P> {
    /// Deletes unfinished uploads beside this one that are much older. What fails is tried again after a while.
    pub(super) async fn sweep(&self, fresh: &str) {
        if self.sweeps.due(parent(fresh))
            && let Err(fault) = self.sweep_now(fresh).await
        {
            tracing::debug!(%fault, "unfinished uploads on the file server cannot be looked for");
        }
    }

    async fn sweep_now(&self, fresh: &str) -> Result<(), Fault> {
        let folder = parent(fresh);
        let limit = self.sessions.opener().limit();
        let entries = on_session!(self.sessions, limit, |session, _again| P::entries(
            session,
            self.at(folder),
            ENTRIES_MAX,
            true
        ))?;
        for old in outdated(&entries, name(fresh)) {
            let path = join(folder, old);
            on_session!(self.sessions, limit, |session, _again| P::delete(
                session,
                self.at(&path)
            ))?;
            tracing::info!(
                file = path,
                "an upload that a dead process had left unfinished was deleted"
            );
        }
        Ok(())
    }

    /// Removes a folder and those in it as far as they are empty, or hold unfinished uploads only.
    pub(super) async fn prune_checked(&self, folder: &str) -> Result<(), Fault> {
        P::check(folder)?;
        on_session!(
            self.sessions,
            self.sessions.opener().limit(),
            |session, _again| self.prune_on(session, folder)
        )
    }

    async fn prune_on(&self, session: &mut P::Session, folder: &str) -> Result<(), Failure> {
        let mut folders = vec![folder.to_owned()];
        let mut next = 0;
        while next < folders.len().min(FOLDERS_MAX) {
            let folder = folders[next].clone();
            next += 1;
            for entry in P::entries(session, self.at(&folder), ENTRIES_MAX, true).await? {
                match entry {
                    Entry::Folder(name) if P::check(&name).is_ok() => folders.push(join(&folder, &name)),
                    Entry::File(file) if is_unfinished(&file.path) => {
                        P::delete(session, self.at(&join(&folder, &file.path))).await?;
                    }
                    _ => {}
                }
            }
        }
        for folder in folders.iter().rev() {
            P::remove_folder(session, self.at(folder)).await?;
        }
        Ok(())
    }
}

/// The names of unfinished uploads that are much older than the one that was just made.
fn outdated<'a>(entries: &'a [Entry], fresh: &str) -> Vec<&'a str> {
    let unfinished = || {
        entries.iter().filter_map(|entry| match entry {
            Entry::File(file) if is_unfinished(&file.path) => Some((file.path.as_str(), file.modified?)),
            _ => None,
        })
    };
    let Some((_, now)) = unfinished().find(|(name, _)| *name == fresh) else {
        return Vec::new();
    };
    let age = i64::try_from(AGE.as_millis()).unwrap_or(i64::MAX);
    let old = unfinished().filter(|(_, modified)| now.saturating_sub(*modified) > age);
    old.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::files::FileInfo;

    #[test]
    fn only_unfinished_uploads_much_older_than_the_new_one_are_outdated() {
        let day = i64::try_from(AGE.as_millis()).expect("a day");
        let file = |path: &str, modified| {
            Entry::File(FileInfo {
                path: path.to_owned(),
                size: 1,
                modified,
            })
        };
        let entries = [
            file(".mediary-new.part", Some(2 * day)),
            file(".mediary-old.part", Some(day - 1)),
            file(".mediary-busy.part", Some(day + 1)),
            file(".mediary-timeless.part", None),
            file("old.csv", Some(0)),
            Entry::Folder(".mediary-folder.part".to_owned()),
        ];
        assert_eq!(outdated(&entries, ".mediary-new.part"), [".mediary-old.part"]);
        assert!(outdated(&entries, ".mediary-elsewhere.part").is_empty());
    }

    #[test]
    fn a_folder_is_looked_through_once_in_a_while() {
        let sweeps = Sweeps::default();
        assert!(sweeps.due("a"));
        assert!(!sweeps.due("a"));
        for number in 1..FOLDERS_MAX {
            assert!(sweeps.due(&number.to_string()));
        }
        assert!(!sweeps.due("b"), "the number is limited");
    }
}
