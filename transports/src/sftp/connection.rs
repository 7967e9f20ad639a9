//! A shared SFTP connection, and the folders on its server.

use super::session::Opener;
use super::settings::Settings;
use super::store::SftpFolder;
use crate::remote::sessions::Sessions;
use engine::files::FileStore;
use std::sync::Arc;

/// What `connections: { NAME: { sftp: ... } }` stands for. Nothing is open before its first use.
pub struct SftpConnection {
    pub(super) sessions: Arc<Sessions<Opener>>,
}

impl SftpConnection {
    pub(super) fn new(settings: Settings, connections_max: usize) -> Self {
        let timeout = settings.timeout;
        Self {
            sessions: Arc::new(Sessions::new(Opener(settings), connections_max, timeout)),
        }
    }

    /// A folder on the server: absolute, or below the folder that the login starts in.
    #[must_use]
    pub fn folder(self: &Arc<Self>, folder: &str) -> Arc<dyn FileStore> {
        Arc::new(SftpFolder::new(Arc::clone(self), folder))
    }

    /// Scheme, host and port; no credentials.
    #[must_use]
    pub fn authority(&self) -> String {
        self.sessions.opener().0.authority()
    }
}
