//! Who holds which files. An owner has a folder of claims and a lease, a file that it rewrites all the time. Another owner that has seen
//! the same lease for its whole time, by its own clock, puts the claims back: no two clocks are ever compared. On one machine an owner also
//! holds a mark; a process that is gone is seen by that at once.

use super::path;
use bytes::Bytes;
use engine::fault::{Fault, FaultCode};
use engine::files::{Existing, FileStore, Mark};
use engine::payload::full;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How far files have come that are split.
pub(super) const CHECKPOINTS: &str = ".mediary/checkpoints";
/// The folder of all owners.
const OWNERS: &str = ".mediary";
/// The wait between two looks at the marks of others.
const MARK_PAUSE: Duration = Duration::from_secs(1);
/// Most claims looked at in one go.
const CLAIMS_MAX: usize = 100_000;
/// Most bytes of a lease.
const LEASE_BYTES_MAX: u64 = 100;

/// One listener as an owner of claims.
pub(super) struct Owner {
    id: String,
    lease: Duration,
    /// Until when others leave the claims alone.
    until: Mutex<Option<Instant>>,
    /// Shows others on this machine that we live, where the store can.
    mark: tokio::sync::OnceCell<Option<Mark>>,
    /// What was seen of others: the lease, and since when it stands still.
    others: Mutex<HashMap<String, (Vec<u8>, Instant)>>,
    /// Claims of its own that nobody worked on at the last look.
    strays: Mutex<HashSet<String>>,
}

impl Owner {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            id: uuid::Uuid::new_v4().simple().to_string(),
            lease,
            until: Mutex::default(),
            mark: tokio::sync::OnceCell::new(),
            others: Mutex::default(),
            strays: Mutex::default(),
        }
    }

    /// Where a claimed file is.
    pub(super) fn claim_path(&self, path: &str) -> String {
        format!("{OWNERS}/{}/claims/{path}", self.id)
    }

    /// Whether others still leave the claims alone.
    pub(super) fn valid(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Makes sure that the lease holds before something is claimed.
    pub(super) async fn hold(&self, store: &dyn FileStore) -> Result<(), Fault> {
        if self.valid() {
            Ok(())
        } else {
            self.renew(store).await
        }
    }

    async fn renew(&self, store: &dyn FileStore) -> Result<(), Fault> {
        self.mark
            .get_or_try_init(|| async { store.mark(&mark_path(&self.id)).await })
            .await?;
        let begun = Instant::now();
        let value = Bytes::from(uuid::Uuid::now_v7().to_string());
        let path = lease_path(&self.id);
        store.write(&path, full(value), Existing::Replace).await?;
        // Others count from when they first see it, which is later: a third is left for the way.
        *self.until.lock() = Some(begun + self.lease * 2 / 3);
        Ok(())
    }

    /// Renews the lease and takes over what dead owners hold, for ever. `held` are the files that are worked on.
    pub(super) async fn keep(
        &self,
        store: &dyn FileStore,
        listener: &str,
        wake: &Notify,
        held: &Mutex<HashSet<String>>,
    ) {
        let mut renewed: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if renewed.is_none_or(|at| now - at >= self.lease / 3) {
                match self.renew(store).await {
                    Ok(()) => renewed = Some(now),
                    Err(fault) => tracing::debug!(listener, %fault, "the lease cannot be renewed"),
                }
            }
            if renewed.is_some() {
                match self.take_over(store, held).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::warn!(
                            listener,
                            count,
                            "put back files that nobody worked on: their owner is gone, or a claim's answer got lost"
                        );
                        wake.notify_one();
                    }
                    Err(fault) => tracing::debug!(listener, %fault, "other owners cannot be looked at"),
                }
            }
            let marked = self.mark.get().is_some_and(Option::is_some);
            let pause = if marked { MARK_PAUSE } else { self.lease };
            tokio::time::sleep(pause.min(self.lease / 3)).await;
        }
    }

    /// Puts back the claims of dead owners, and its own ones that are not worked on. Says how many.
    async fn take_over(&self, store: &dyn FileStore, held: &Mutex<HashSet<String>>) -> Result<usize, Fault> {
        let claims = claims(store).await?;
        self.others.lock().retain(|owner, _| claims.contains_key(owner));
        let own = claims.get(&self.id).map(Vec::as_slice).unwrap_or_default();
        let (mut count, _) = rename_back(store, &self.id, &self.stray(own, held)).await?;
        for (owner, files) in &claims {
            if *owner == self.id || !self.is_dead(owner, store).await? {
                continue;
            }
            count += put_back(store, owner, files).await?;
        }
        Ok(count)
    }

    /// The claims that nobody worked on, this time and the time before: a rename may have claimed a file although its answer got lost
    /// with the connection.
    fn stray(&self, own: &[String], held: &Mutex<HashSet<String>>) -> Vec<String> {
        let held = held.lock();
        let idle: HashSet<String> = own.iter().filter(|file| !held.contains(*file)).cloned().collect();
        let before = std::mem::replace(&mut *self.strays.lock(), idle.clone());
        idle.intersection(&before).cloned().collect()
    }

    async fn is_dead(&self, owner: &str, store: &dyn FileStore) -> Result<bool, Fault> {
        if store.is_abandoned(&mark_path(owner)).await {
            return Ok(true);
        }
        let lease = read(store, &lease_path(owner)).await?;
        let now = Instant::now();
        let mut others = self.others.lock();
        let seen = others
            .entry(owner.to_owned())
            .or_insert_with(|| (lease.clone(), now));
        if seen.0 != lease {
            *seen = (lease, now);
        }
        Ok(now - seen.1 >= self.lease)
    }

    /// Puts back what is still claimed and removes the owner's folder.
    pub(super) async fn leave(&self, store: &dyn FileStore) {
        let left = async {
            let mut claims = claims(store).await?;
            put_back(store, &self.id, &claims.remove(&self.id).unwrap_or_default()).await
        };
        if let Err(fault) = left.await {
            tracing::warn!(%fault, "claimed files could not be put back; another owner will do it");
        }
        *self.until.lock() = None;
    }
}

fn mark_path(owner: &str) -> String {
    format!("{OWNERS}/{owner}/alive")
}

fn lease_path(owner: &str) -> String {
    format!("{OWNERS}/{owner}/lease")
}

/// The claimed paths of every owner.
async fn claims(store: &dyn FileStore) -> Result<HashMap<String, Vec<String>>, Fault> {
    let mut owners: HashMap<String, Vec<String>> = HashMap::new();
    for file in store.list(OWNERS, true, CLAIMS_MAX).await? {
        let below = file
            .path
            .strip_prefix(OWNERS)
            .unwrap_or(&file.path)
            .trim_start_matches('/');
        let Some((owner, rest)) = below.split_once('/') else {
            continue;
        };
        if file.path.starts_with(CHECKPOINTS) {
            continue;
        }
        let files = owners.entry(owner.to_owned()).or_default();
        files.extend(rest.strip_prefix("claims/").map(str::to_owned));
    }
    Ok(owners)
}

/// Puts back claims and, with the last of them, removes what else the owner has. Says how many.
async fn put_back(store: &dyn FileStore, owner: &str, files: &[String]) -> Result<usize, Fault> {
    let (count, waiting) = rename_back(store, owner, files).await?;
    if !waiting {
        store.delete(&lease_path(owner)).await?;
        store.delete(&mark_path(owner)).await?;
        store.prune(&path::join(OWNERS, owner)).await;
    }
    Ok(count)
}

/// Renames claims back. Says how many, and whether some wait because their name is in use again.
async fn rename_back(store: &dyn FileStore, owner: &str, files: &[String]) -> Result<(usize, bool), Fault> {
    let (mut count, mut waiting) = (0, false);
    for file in files {
        let claim = format!("{OWNERS}/{owner}/claims/{file}");
        match store.rename(&claim, file, false).await {
            Ok(true) => count += 1,
            Ok(false) => {}
            Err(fault) if fault.code() == FaultCode::Conflict => waiting = true,
            Err(fault) => return Err(fault),
        }
    }
    Ok((count, waiting))
}

async fn read(store: &dyn FileStore, path: &str) -> Result<Vec<u8>, Fault> {
    let content = match store.read(path, 0).await {
        Ok(content) => content,
        Err(fault) if fault.code() == FaultCode::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    let mut limited = content.take(LEASE_BYTES_MAX);
    let read = limited.read_to_end(&mut bytes).await;
    read.map_err(|error| {
        Fault::new(FaultCode::IncompleteBody, "The lease cannot be read.").with_source(error)
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_stray_when_nobody_works_on_it_twice() {
        let owner = Owner::new(Duration::from_secs(30));
        let held = Mutex::new(HashSet::from(["busy".to_owned()]));
        let own = ["busy".to_owned(), "lost".to_owned()];
        assert!(owner.stray(&own, &held).is_empty(), "it may be claimed just now");
        assert_eq!(owner.stray(&own, &held), ["lost"]);
        held.lock().insert("lost".to_owned());
        assert!(owner.stray(&own, &held).is_empty());
    }
}
